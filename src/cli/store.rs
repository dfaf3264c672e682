//! `store`: the files of an embedded store that no node has open.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::print_line;
use super::{CliFailure, settings};
use crate::config::{Config, StoreBackend};
use crate::node::{check_store, salvage_store};
use crate::store::Inventory;

/// The files of an embedded store that no node has open.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Checks all files, and all rows where the files are whole; changes nothing.
    Check(File),
    /// Copies what can be read into a new directory, and reports what was lost.
    Salvage(Salvage),
}

#[derive(Debug, Args)]
pub(super) struct File {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Copies what can be read into a new directory, and reports what was lost.
#[derive(Debug, Args)]
pub(super) struct Salvage {
    #[command(flatten)]
    file: File,
    /// The new directory: it must not exist yet, or be empty.
    #[arg(long)]
    to: PathBuf,
}

impl StoreCommand {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        match self {
            Self::Check(file) => {
                let stock = check_store(&file.of_embedded()?).map_err(CliFailure::failed)?;
                tell(&stock, "wrong")?;
                let found = stock.losses.len();
                let complaint = || CliFailure::Failed(format!("{found} problems were found"));
                if found == 0 { Ok(()) } else { Err(complaint()) }
            }
            Self::Salvage(Salvage { file, to }) => {
                let stock = salvage_store(&file.of_embedded()?, &to).map_err(CliFailure::failed)?;
                tell(&stock, "lost")
            }
        }
    }
}

impl File {
    fn of_embedded(self) -> Result<Config, CliFailure> {
        let config = settings::load(self.config.as_deref())?;
        match config.store.backend {
            StoreBackend::Embedded => Ok(config),
            StoreBackend::Cql => Err(CliFailure::Usage(
                "store.backend is \"cql\": check the files with the tools of \
                    its servers"
                    .into(),
            )),
        }
    }
}

fn tell(stock: &Inventory, what: &str) -> Result<(), CliFailure> {
    for (table, rows) in &stock.rows {
        print_line(format_args!("{table}: {rows} rows"))?;
    }
    stock.losses.iter().try_for_each(|loss| print_line(format_args!("{what}: {loss}")))
}
