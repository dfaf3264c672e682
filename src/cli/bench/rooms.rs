//! `bench rooms`.

use clap::Args;

use super::{bucket_count, failure, none_lost};
use crate::bench::{Rooms, RoomsRow, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;
use crate::layout::BucketCount;

/// What does a message to a room cost by its size, beside a publish per member and broadcast?
///
/// It counts publishes and the nodes that hear them. The nodes and all clients share this process.
#[derive(Debug, Args)]
pub(in crate::cli) struct RoomsArguments {
    /// Members of a room, one row each; at most `--users`.
    #[arg(long, value_delimiter = ',', default_value = "4,20,60", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members: Vec<u32>,
    /// Nodes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// Buckets of each class.
    #[arg(long, default_value = "1048576", value_parser = bucket_count)]
    buckets: BucketCount,
    /// Users.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Rooms of each size.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// Messages to the rooms of each size.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl RoomsArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let Self { nodes, redis, buckets, users, devices, rooms, messages, seed, .. } = self;
        let buckets = buckets.get();
        let bench = Rooms { nodes, redis, buckets, users, devices, rooms, messages, seed };
        for members in &self.members {
            bench.check(*members).map_err(failure)?;
        }
        let mut table = Table::<RoomsRow>::begin(self.json);
        for members in self.members {
            table.row(&bench.run(members).await.map_err(failure)?).map_err(output_failure)?;
        }
        none_lost(table.lost())
    }
}
