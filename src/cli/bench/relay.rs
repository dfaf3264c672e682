//! `bench relay`.

use clap::Args;

use super::{failure, none_lost};
use crate::bench::{Payload, Relay, RelayRow, Table, check_redis};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// How much CPU does a delivery cost, beside a plain loop without any broker?
///
/// The servers are processes of their own. The plain loop has the same socket and the same frames,
/// and otherwise a table of topics only.
#[derive(Debug, Args)]
pub(in crate::cli) struct RelayArguments {
    /// Nodes, one row each; 0 is the plain loop, which has no messages [default: 0,1,4 or 1,4].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(0..=100))]
    nodes: Vec<u32>,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// Users, two sessions each.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Direct messages, which are stored, instead of events to topics.
    #[arg(long)]
    messages: bool,
    /// Publishes.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    events: u32,
    /// Applies the limits to senders; each send is then a call to Redis where there is one.
    #[arg(long)]
    limits: bool,
    /// Deliveries per second; without it as many as possible.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How often each row is measured, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl RelayArguments {
    fn nodes(&self) -> Result<Vec<u32>, CliFailure> {
        match (self.nodes.as_slice(), self.messages) {
            ([], false) => Ok(vec![0, 1, 4]),
            ([], true) => Ok(vec![1, 4]),
            (nodes, true) if nodes.contains(&0) => {
                Err(CliFailure::usage("--nodes 0: the plain loop has no messages (--messages)"))
            }
            (nodes, _) => Ok(nodes.to_vec()),
        }
    }

    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let nodes = self.nodes()?;
        // The first row may be without Redis.
        check_redis(&self.redis).await.map_err(failure)?;
        let mut table = Table::<RelayRow>::begin(self.json);
        for _ in 0..self.rounds {
            for &nodes in &nodes {
                let redis = if nodes == 0 { Vec::new() } else { self.redis.clone() };
                let Self { users, events, rate, seed, messages, limits, .. } = self;
                let payload = if messages { Payload::Message } else { Payload::Event };
                let relay = Relay { nodes, redis, users, payload, events, limits, rate, seed };
                table.row(&relay.run().await.map_err(failure)?).map_err(output_failure)?;
            }
        }
        none_lost(table.lost())
    }
}
