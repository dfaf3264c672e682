//! What an operator may choose about the embedded store, and the bounds.

use std::path::PathBuf;

/// Writes that may wait, by default: four commits of [`BATCH_ROWS`]. A disk that takes 100 ms per
/// fsync still works them off well within the lease of 5 s.
pub const WRITE_QUEUE: usize = 4096;

/// Most writes of a commit, by default. Measured per message, a commit of 1,000 costs little more
/// than half of one of 100. A larger one only makes the first message wait for the last.
pub const BATCH_ROWS: usize = 1024;

/// Bytes of rows at which a commit is full, so that large bodies do not make one fsync late. At
/// most one write goes beyond it.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Reads that may wait, by default: at 80 us per page of 50 (measured through the port), a tenth of
/// a second of work.
pub const READ_QUEUE: usize = 1024;

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
    /// Writes that may wait; more are refused.
    pub write_queue: usize,
    /// Most writes of a commit.
    pub batch_rows: usize,
    /// Reads that may wait; more are refused.
    pub read_queue: usize,
    /// Files kept open, at most [`OPEN_FILES_MAX`].
    pub open_files: usize,
}

impl EmbeddedOptions {
    /// The defaults for a directory and a namespace.
    pub fn new(path: impl Into<PathBuf>, namespace: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            namespace: namespace.into(),
            write_queue: WRITE_QUEUE,
            batch_rows: BATCH_ROWS,
            read_queue: READ_QUEUE,
            open_files: OPEN_FILES_MAX,
        }
    }
}
