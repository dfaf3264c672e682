//! `bench idle`.

use std::time::Duration;

use clap::Args;

use super::failure;
use crate::bench::{Idle, IdleRow, Large, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// How much memory does an idle session take, before and after large frames, or with patterns?
///
/// The node is a process of its own, and its RSS is read.
#[derive(Debug, Args)]
pub(in crate::cli) struct IdleArguments {
    /// Sessions; at least two without `--patterns`.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// Event loops of the server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Patterns of a session, each its own topic, which are measured instead of large frames.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    patterns: u32,
    /// How long the server has to free what it can before its memory is read.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    settle_s: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl IdleArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let Self { sessions, workers, patterns, settle_s, json } = self;
        let settle = Duration::from_secs(settle_s);
        let (sessions, patterns) = (sessions as usize, patterns as usize);
        let idle = Idle { sessions, workers, patterns, settle };
        idle.check().map_err(failure)?;
        let mut table = Table::<IdleRow>::begin(json);
        if patterns > 0 {
            for row in idle.subscribed().await.map_err(failure)? {
                table.row(&row).map_err(output_failure)?;
            }
            return Ok(());
        }
        for row in idle.refused().await.map_err(failure)? {
            table.row(&row).map_err(output_failure)?;
        }
        for kind in [Large::Event, Large::Message] {
            table.row(&idle.delivered(kind).await.map_err(failure)?).map_err(output_failure)?;
        }
        Ok(())
    }
}
