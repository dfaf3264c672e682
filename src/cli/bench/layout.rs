//! `bench layout`.

use clap::Args;

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
    /// Users.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Topics.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
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
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

fn bucket_count(text: &str) -> Result<BucketCount, String> {
    let count = text.parse::<u64>().map_err(|error| error.to_string())?;
    BucketCount::new(count).map_err(|error| error.to_string())
}

impl LayoutArguments {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let mut table = Table::<LayoutRow>::begin(self.json);
        for &nodes in &self.nodes {
            let simulation = self.simulation(nodes);
            for &buckets in &self.buckets {
                table.row(&simulation.run(buckets)).map_err(output_failure)?;
            }
        }
        Ok(())
    }

    fn simulation(&self, nodes: u32) -> LayoutSimulation {
        LayoutSimulation {
            nodes,
            placement: self.placement.into(),
            users: self.users,
            devices: self.devices,
            topics: self.topics,
            subscribers: self.subscribers,
            messages: self.messages,
            events: self.events,
            seed: self.seed,
        }
    }
}
