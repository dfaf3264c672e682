//! What an operator may choose about the embedded store, and the bounds.

use std::path::PathBuf;

use crate::config::{Config, EmbeddedBounds};

/// Bytes of rows at which a commit is full, so that large bodies do not make one fsync late. At
/// most one write goes beyond it.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Files kept open: at 64 MiB a file, 8 GiB of messages without opening one twice. Most
/// descriptors belong to the sockets.
pub const OPEN_FILES_MAX: usize = 128;

/// How to open an embedded store. Zero counts as one in every bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// The directory, made if it does not exist.
    pub path: PathBuf,
    /// The namespace: made with the store, and compared ever after.
    pub namespace: String,
    /// How much may wait.
    pub bounds: EmbeddedBounds,
    /// Files kept open, at most [`OPEN_FILES_MAX`].
    pub open_files: usize,
}

impl EmbeddedOptions {
    /// The defaults for a directory and a namespace.
    pub fn new(path: impl Into<PathBuf>, namespace: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            namespace: namespace.into(),
            bounds: Config::default().store.embedded,
            open_files: OPEN_FILES_MAX,
        }
    }
}
