//! The checks between a directory and a store: its owner, and the version of its layout.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::EmbeddedOptions;
use super::meta::{self, MetaError, SCHEMA};
use super::tables::{Tables, reason};
use crate::domain::Micros;
use crate::store::Identity;

/// From this difference on a warning is logged that the stored time is ahead of the wall clock. The
/// machine's clock was wrong then or is wrong now. Ids go on above the stored ones either way, and
/// everything measured against the time of ids goes by them.
const CLOCK_AHEAD_TOLD: Duration = Duration::from_mins(1);

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A process has the directory open already.
    #[error(
        "store.path `{}`: in use already; an embedded store belongs to one process",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The engine cannot open the directory.
    #[error("store.path `{}`: cannot be opened: {reason}", path.display())]
    Engine {
        /// The directory.
        path: PathBuf,
        /// The engine's error.
        reason: String,
    },
    /// The directory is neither empty nor a store.
    #[error(
        "store.path `{}`: neither empty nor a store, or one that lost files: bring them back, or \
         remove all of it to begin anew",
        path.display()
    )]
    Unidentified {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the store is missing.
    #[error(
        "store.path `{}`: {what}; bring it back, or save what is left with `narrowcast store salvage`",
        path.display()
    )]
    Lost {
        /// The directory.
        path: PathBuf,
        /// What is missing, and how.
        what: String,
    },
    /// Bytes that were acknowledged are not what was written.
    #[error(
        "store.path `{}`: {place} is damaged, before the last record: bring the file back, look \
         with `narrowcast store check`, or save what is left with `narrowcast store salvage`",
        path.display()
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The file, and the bytes in it.
        place: String,
    },
    /// The store belongs to another namespace.
    #[error(
        "namespace `{configured}`: the store in `{}` belongs to namespace `{stored}`",
        path.display()
    )]
    Namespace {
        /// The directory.
        path: PathBuf,
        /// The namespace that the store was made for.
        stored: String,
        /// The configured namespace.
        configured: String,
    },
    /// The store was made by another version.
    #[error("store.path `{}`: schema version {found}, only {SCHEMA} is known", path.display())]
    Schema {
        /// The directory.
        path: PathBuf,
        /// The version found.
        found: u8,
    },
    /// What the store states about itself cannot be read.
    #[error("store.path `{}`: row `{key}` of `meta` is {defect}", path.display())]
    Meta {
        /// The directory.
        path: PathBuf,
        /// The row.
        key: &'static str,
        /// What is wrong with it.
        defect: &'static str,
    },
    /// A thread could not be started.
    #[error("a thread of the store could not be started: {0}")]
    Thread(#[from] io::Error),
}

impl OpenError {
    pub(super) fn engine(path: &Path, error: &io::Error) -> Self {
        Self::Engine { path: path.to_owned(), reason: error.to_string() }
    }

    pub(super) fn lost(path: &Path, what: String) -> Self {
        Self::Lost { path: path.to_owned(), what }
    }

    pub(super) fn damaged(path: &Path, place: String) -> Self {
        Self::Damaged { path: path.to_owned(), place }
    }

    pub(super) fn meta(path: &Path, error: MetaError) -> Self {
        let path = path.to_owned();
        match error {
            MetaError::Engine(error) => Self::Engine { path, reason: reason(&error) },
            MetaError::Schema(found) => Self::Schema { path, found },
            MetaError::Row { key, defect } => Self::Meta { path, key, defect },
        }
    }
}

/// Returns the identity and the high-water mark of the tables. Makes them if the tables are new.
pub(super) fn admit(
    tables: &Tables,
    options: &EmbeddedOptions,
    wall: Micros,
) -> Result<(Identity, Micros), OpenError> {
    let refused = |error| OpenError::meta(&options.path, error);
    let complete =
        || tables.files.complete().map_err(|error| OpenError::engine(&options.path, &error));
    let Some(identity) = meta::identity(tables).map_err(refused)? else {
        if !tables.is_new {
            return Err(OpenError::Unidentified { path: options.path.clone() });
        }
        let made = meta::create(tables, &options.namespace).map_err(refused)?;
        complete()?;
        return Ok(made);
    };
    let high_water = meta::high_water(tables).map_err(refused)?;
    same_namespace(&identity, options)?;
    tell_if_ahead(high_water, wall);
    // A version with more tables has made them by now.
    complete()?;
    Ok((identity, high_water))
}

fn same_namespace(identity: &Identity, options: &EmbeddedOptions) -> Result<(), OpenError> {
    if identity.namespace == options.namespace {
        return Ok(());
    }
    Err(OpenError::Namespace {
        path: options.path.clone(),
        stored: identity.namespace.clone(),
        configured: options.namespace.clone(),
    })
}

fn tell_if_ahead(high_water: Micros, wall: Micros) {
    let ahead = high_water.since(wall);
    if ahead > CLOCK_AHEAD_TOLD {
        tracing::warn!(
            ?ahead, newest_id = %high_water, wall = %wall,
            "the store's newest id is ahead of the machine's clock; ids go on from there"
        );
    }
}
