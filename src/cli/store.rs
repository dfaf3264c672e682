//! `store`: what an operator does to a store that no node uses.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::print_line;
use super::{CliFailure, block_on, settings};
use crate::config::{Config, StoreBackend};
use crate::node::{check_store, retag_store, salvage_store};
use crate::store::{Inventory, RetaggedStore};

/// A store that no node uses: its files, and its identity.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Checks all files of an embedded store, and all rows where the files are whole; changes nothing.
    Check(File),
    /// Copies what can be read of an embedded store into a new directory, and reports what was lost.
    Salvage(Salvage),
    /// Makes a store that was restored from a backup another one, so that clients load what they
    /// have anew: cursors from after the backup would hide what was lost.
    Retag(File),
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
            Self::Retag(file) => {
                let config = settings::load(file.config.as_deref())?;
                settings::begin_log(&config)?;
                let retagged =
                    block_on(async { retag_store(&config).await.map_err(CliFailure::failed) })?;
                let RetaggedStore { before, after } = retagged;
                print_line(format_args!("the store was {before} and is {after} now"))
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
