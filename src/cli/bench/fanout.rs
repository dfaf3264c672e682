//! `bench fanout`.

use std::sync::Arc;

use clap::Args;

use super::{buckets, failure};
use crate::bench::{FanoutBench, FanoutRow, RunningNode, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;
use crate::cli::placement::PlacementName;

/// How many nodes hear a publish, beside the prediction for the layout and beside broadcast?
///
/// Users at random write to each other, and topics have a few subscribers. Without `--node` the
/// nodes and all clients share this process, so that a hundred nodes fit a machine; the CPU time of
/// the two is then one figure.
#[derive(Debug, Args)]
pub(in crate::cli) struct FanoutArguments {
    /// Nodes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// Bucket counts, one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,64,4096,65536,1048576", value_parser = buckets)]
    buckets: Vec<u32>,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// A running node, as `ws://…/v1/ws,http://…` (clients, operator); given once per node. All of
    /// them are configured with the one bucket count given. No node is started then.
    #[arg(long = "node")]
    running: Vec<RunningNode>,
    /// Where clients connect instead of at the running nodes: a load balancer in front of them, as
    /// `ws://…/v1/ws`. It is told the user by `?user=`.
    #[arg(long, requires = "running", value_name = "URL")]
    through: Option<String>,
    /// How users reach nodes. With `--through` it is what the prediction goes by.
    #[arg(long, default_value = "random")]
    placement: PlacementName,
    #[command(flatten)]
    load: FanoutLoad,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

/// Who receives what.
#[derive(Debug, Args)]
struct FanoutLoad {
    /// Users.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Topics.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    topics: u32,
    /// Subscribers per topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    subscribers: u32,
    /// Direct messages.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    messages: u32,
    /// Events to topics.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    events: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl FanoutArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        if !self.running.is_empty() && self.buckets.len() != 1 {
            return Err(CliFailure::usage(
                "--buckets: give one count with --node, the count of those \
                nodes",
            ));
        }
        let fanout = Arc::new(FanoutBench {
            nodes: match self.running.len() {
                0 => self.nodes,
                running => running as u32,
            },
            redis: self.redis,
            running: self.running,
            through: self.through,
            placement: self.placement.into(),
            users: self.load.users,
            devices: self.load.devices,
            topics: self.load.topics,
            subscribers: self.load.subscribers,
            messages: self.load.messages,
            events: self.load.events,
            seed: self.load.seed,
        });
        let mut table = Table::<FanoutRow>::begin(self.json);
        for buckets in self.buckets {
            table.row(&fanout.run(buckets).await.map_err(failure)?).map_err(output_failure)?;
        }
        Ok(())
    }
}
