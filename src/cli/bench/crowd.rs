//! `bench crowd`.

use clap::Args;

use crate::bench::{LargeRoom, LargeRoomRow, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// What a room with very many sessions on a node costs another session there.
#[derive(Debug, Args)]
pub(in crate::cli) struct CrowdArguments {
    /// Members, with one session each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members: u32,
    /// Messages to the room per second.
    #[arg(long, default_value_t = 1.0)]
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

impl CrowdArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let crowd = LargeRoom {
            members: self.members as usize,
            seconds: self.seconds,
            per_s: self.per_s,
            workers: self.workers,
        };
        let table = Table::begin::<LargeRoomRow>(self.json).map_err(output_failure)?;
        for row in crowd.run().await.map_err(CliFailure::failed)? {
            table.row(&row).map_err(output_failure)?;
        }
        Ok(())
    }
}
