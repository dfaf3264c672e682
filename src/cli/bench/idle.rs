//! `bench idle`.

use clap::Args;

use crate::bench::{Idle, IdleRow, Large, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// Memory per idle session, before and after large frames.
#[derive(Debug, Args)]
pub(in crate::cli) struct IdleArguments {
    /// Sessions.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// Event loops of the server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Patterns of a session, each its own topic, which are measured instead of large frames.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    patterns: u32,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl IdleArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let Self { sessions, workers, patterns, json } = self;
        let idle = Idle { sessions: sessions as usize, workers, patterns: patterns as usize };
        let table = Table::begin::<IdleRow>(json).map_err(output_failure)?;
        if patterns > 0 {
            for row in idle.subscribed().await.map_err(CliFailure::failed)? {
                table.row(&row).map_err(output_failure)?;
            }
            return Ok(());
        }
        for row in idle.refused().await.map_err(CliFailure::failed)? {
            table.row(&row).map_err(output_failure)?;
        }
        for kind in [Large::Event, Large::Message] {
            table
                .row(&idle.delivered(kind).await.map_err(CliFailure::failed)?)
                .map_err(output_failure)?;
        }
        Ok(())
    }
}
