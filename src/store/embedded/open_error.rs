//! Why a store was not opened.

use std::io;
use std::path::{Path, PathBuf};

use super::meta::{MetaError, SCHEMA};
use super::tables::reason;

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
