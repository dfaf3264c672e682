//! `bench layout`.

use clap::Args;

use super::bucket_count;
use super::fanout_load::FanoutLoadArguments;
use crate::bench::{LayoutRow, LayoutSimulation, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;
use crate::cli::placement::PlacementName;
use crate::layout::BucketCount;

/// What `bench fanout` measures, counted without sockets: for clusters that do not fit on a
/// machine. Keys are hashed and publishes are planned by the code that nodes run.
#[derive(Debug, Args)]
pub(in crate::cli) struct LayoutArguments {
    /// Nodes.
    #[arg(long, value_delimiter = ',', default_value = "30,100,300,1000",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: Vec<u32>,
    /// Bucket counts, a row each for each number of nodes.
    #[arg(long, value_delimiter = ',', default_value = "1,65536,1048576", value_parser = bucket_count)]
    buckets: Vec<BucketCount>,
    /// How users reach nodes.
    #[arg(long, default_value = "random")]
    placement: PlacementName,
    #[command(flatten)]
    load: FanoutLoadArguments<1_000_000>,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl LayoutArguments {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let mut table = Table::<LayoutRow>::begin(self.json);
        for &nodes in &self.nodes {
            let simulation = LayoutSimulation { nodes, load: self.load.placed(self.placement)? };
            for &buckets in &self.buckets {
                table.row(&simulation.run(buckets)).map_err(output_failure)?;
            }
        }
        Ok(())
    }
}
