//! What an operator can do with a damaged store: check what is wrong with it, and copy what can be
//! read into a new directory. Neither changes the store.

use std::fmt;
use std::io;
use std::path::Path;

use super::files::{self, Files};
use super::journal::{self, Inspected, JournalTail};
use super::meta;
use super::open_error::OpenError;
use super::tables::Tables;

/// A part of a store that is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SalvageLoss {
    /// A file that must exist is missing.
    Missing(String),
    /// The last record of a journal was being written, and was never acknowledged.
    Torn {
        /// The journal.
        journal: String,
        /// Its first byte.
        at: u64,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Bytes that were acknowledged cannot be read.
    Damaged {
        /// The journal.
        journal: String,
        /// The first byte.
        at: u64,
        /// The byte after the last.
        upto: u64,
    },
    /// Rows of a table cannot be read.
    Unreadable {
        /// The table.
        table: &'static str,
        /// The engine's error.
        reason: String,
    },
}

impl fmt::Display for SalvageLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::Torn { journal, at, bytes } => write!(
                f,
                "{journal}: the last record, {bytes} bytes from byte {at} on, was being written and \
                 never acknowledged"
            ),
            Self::Damaged { journal, at, upto } => {
                write!(f, "{journal}: bytes {at} to {upto} cannot be read")
            }
            Self::Unreadable { table, reason } => write!(f, "table {table}: {reason}"),
        }
    }
}

/// What a store, or a copy of one, holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Rows of each table.
    pub rows: Vec<(&'static str, u64)>,
    /// What is wrong, or was lost.
    pub losses: Vec<SalvageLoss>,
}

/// Checks a store that no process has open, without changing it. Rows are read where all files are
/// whole.
pub fn check(path: &Path) -> Result<Inventory, OpenError> {
    let mut losses: Vec<SalvageLoss> =
        files::missing_of(path)?.into_iter().map(SalvageLoss::Missing).collect();
    let journals = journal::inspect_all(path).map_err(|error| OpenError::engine(path, &error))?;
    for Inspected { number, tail, .. } in journals {
        let journal = format!("`{number}.jnl`");
        losses.extend(match tail {
            JournalTail::Clean => None,
            JournalTail::Torn { at, bytes } => Some(SalvageLoss::Torn { journal, at, bytes }),
            JournalTail::Damaged { at, again } => {
                Some(SalvageLoss::Damaged { journal, at, upto: again })
            }
        });
    }
    if !losses.is_empty() {
        return Ok(Inventory { rows: Vec::new(), losses });
    }
    Ok(take_stock(&Tables::open(path)?))
}

/// Copies what can be read of a store into a new directory, which is then a store.
pub fn salvage(from: &Path, to: &Path) -> Result<Inventory, OpenError> {
    let of_engine = |error: io::Error| OpenError::engine(to, &error);
    let mut losses: Vec<SalvageLoss> =
        files::missing_of(from)?.into_iter().map(SalvageLoss::Missing).collect();
    if !files::is_empty(to) {
        return Err(OpenError::Unidentified { path: to.to_owned() });
    }
    files::copy(from, to).map_err(of_engine)?;
    let mut sequence = 0;
    for (number, file) in journal::list(to).map_err(of_engine)? {
        let lost = journal::keep_whole(&file, &mut sequence).map_err(of_engine)?;
        let journal = || format!("`{number}.jnl`");
        losses.extend(lost.into_iter().map(|(at, upto)| SalvageLoss::Damaged {
            journal: journal(),
            at,
            upto,
        }));
    }
    // The engine reads the journals into a table that it had to make anew only at the next start.
    drop(Tables::salvaged(to)?);
    let tables = Tables::salvaged(to)?;
    if meta::identity(&tables).map_err(|error| OpenError::meta(to, error))?.is_none() {
        return Err(OpenError::Unidentified { path: to.to_owned() });
    }
    let stock = take_stock(&tables);
    Files::of(to).and_then(|files| files.complete()).map_err(of_engine)?;
    losses.extend(stock.losses);
    Ok(Inventory { losses, ..stock })
}

/// Reads every row.
fn take_stock(tables: &Tables) -> Inventory {
    let mut stock = Inventory::default();
    for (table, keyspace) in tables.all() {
        let mut count = 0;
        for row in keyspace.iter() {
            match row.into_inner() {
                Ok(_row) => count += 1,
                Err(error) => {
                    stock.losses.push(SalvageLoss::Unreadable { table, reason: error.to_string() });
                    break;
                }
            }
        }
        stock.rows.push((table, count));
    }
    stock
}
