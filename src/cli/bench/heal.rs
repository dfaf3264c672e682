//! `bench heal`.

use std::time::Duration;

use clap::Args;

use super::failure;
use crate::bench::{RecoveryBench, RecoveryRow, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// What does one lost connection to Redis cost a node full of sessions, in reads and in time?
///
/// It also counts what the node reads while nothing is wrong. No session ends: `bench storm` is for
/// that. The node and all clients share this process.
#[derive(Debug, Args)]
pub(in crate::cli) struct HealArguments {
    /// Sessions.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// A Redis shard, whose subscriber connections are closed.
    #[arg(long)]
    redis: String,
    /// How long the reads of the healthy node are counted.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl HealArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let mut table = Table::<RecoveryRow>::begin(self.json);
        let heal = RecoveryBench {
            sessions: self.sessions,
            redis: self.redis,
            steady: Duration::from_secs(self.seconds),
        };
        table.row(&heal.run().await.map_err(failure)?).map_err(output_failure)?;
        Ok(())
    }
}
