//! `[store]`: where messages live.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Serialize;

use super::print;
use super::section::Section;

/// As long as Linux takes (`PATH_MAX`).
const PATH_BYTES: RangeInclusive<usize> = 1..=4096;
const QUEUE: RangeInclusive<u64> = 1..=1_048_576;
const BATCH_ROWS: RangeInclusive<u64> = 1..=65_536;

/// The store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreConfig {
    /// Which one.
    pub backend: StoreBackend,
    /// The embedded store's directory.
    #[serde(serialize_with = "print::path")]
    pub path: PathBuf,
    /// Writes that may wait.
    pub write_queue: usize,
    /// Rows committed by one fsync at most.
    pub batch_rows: usize,
    /// Reads that may wait.
    pub read_queue: usize,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    /// In this process's own directory.
    Embedded,
}

impl StoreConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        Self {
            backend: s.choice("backend", &[("embedded", StoreBackend::Embedded)]),
            path: s.sized("path", &PATH_BYTES).into(),
            write_queue: s.count("write_queue", &QUEUE),
            batch_rows: s.count("batch_rows", &BATCH_ROWS),
            read_queue: s.count("read_queue", &QUEUE),
        }
    }
}
