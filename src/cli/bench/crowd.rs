//! `bench crowd`.

use clap::Args;

use super::failure;
use crate::bench::{LargeRoom, LargeRoomRow, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// How late are others on its node while a very large room hears a message?
///
/// A bystander writes to a friend 50 times a second, first in quiet, then while the room hears
/// messages. Latency counts from the time at which each was intended. The node is a process of its
/// own.
#[derive(Debug, Args)]
pub(in crate::cli) struct CrowdArguments {
    /// Members, with one session each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members: u32,
    /// Messages to the room per second.
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    per_s: f64,
    /// How long each load lasts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Event loops of the node.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

/// Reads a rate of the room's messages.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.01..=1000.0).contains(rate));
    rate.ok_or_else(|| "it must be a number from 0.01 to 1000".into())
}

impl CrowdArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let crowd = LargeRoom {
            members: self.members as usize,
            seconds: self.seconds,
            per_s: self.per_s,
            workers: self.workers,
        };
        let mut table = Table::<LargeRoomRow>::begin(self.json);
        for row in crowd.run().await.map_err(failure)? {
            table.row(&row).map_err(output_failure)?;
        }
        Ok(())
    }
}
