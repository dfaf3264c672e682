//! `bench fanout`.

use std::sync::Arc;

use clap::Args;

use super::fanout_load::FanoutLoadArguments;
use super::{bucket_count, failure, none_lost};
use crate::bench::{FanoutBench, FanoutRow, RunningNode, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;
use crate::cli::placement::PlacementName;
use crate::layout::BucketCount;

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
    #[arg(long, value_delimiter = ',', default_value = "1,64,4096,65536,1048576", value_parser = bucket_count)]
    buckets: Vec<BucketCount>,
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
    load: FanoutLoadArguments<100_000>,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
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
            load: self.load.placed(self.placement)?,
        });
        let mut table = Table::<FanoutRow>::begin(self.json);
        for buckets in self.buckets {
            table
                .row(&fanout.run(buckets.get()).await.map_err(failure)?)
                .map_err(output_failure)?;
        }
        none_lost(table.lost())
    }
}
