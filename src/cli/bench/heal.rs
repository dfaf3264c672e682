//! `bench heal`.

use clap::Args;

use crate::bench::{RecoveryBench, RecoveryRow, Table};
use crate::cli::CliFailure;
use crate::cli::output::output_failure;

/// What one delivery gap costs a node full of sessions, and what it reads while nothing is wrong.
#[derive(Debug, Args)]
pub(in crate::cli) struct HealArguments {
    /// Sessions.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// A Redis shard, whose subscriber connections are closed.
    #[arg(long)]
    redis: String,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl HealArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let table = Table::begin::<RecoveryRow>(self.json).map_err(output_failure)?;
        let heal = RecoveryBench { sessions: self.sessions, redis: self.redis };
        table.row(&heal.run().await.map_err(CliFailure::failed)?).map_err(output_failure)?;
        Ok(())
    }
}
