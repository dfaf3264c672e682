//! The embedded store: one process, one directory, one ordered key-value engine (fjall).
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Embedded`]: its threads, and how it is opened |
//! | `ports` | the ports in front of them |
//! | `options` | what an operator may choose, and the bounds |
//! | `open` | the checks between a directory and a store |
//! | `meta` | what a store states about itself |
//! | `directory` | the rights on the directory |
//! | `tables` | the engine's tables and how it is set up |
//! | `entry` | what is written: messages, and registers, of which one row stays |
//! | `keys`, `row` | the format of keys and values in bytes |
//! | `worker_thread` | a thread with a bounded queue before it |
//! | `writer` | group commit: one thread, one fsync for all writes that wait |
//! | `batch` | the rows of a batch |
//! | `expiry` | how idempotency keys are forgotten |
//! | `files`, `journal` | which files must exist, and what may be cut off from a journal |
//! | `salvage` | what an operator can do with a damaged store |
//! | `retag` | a new identity for a store that was restored |
//! | `watch`, `failure` | a thread that checks whether the store can be written, and its result |
//! | `heartbeats` | the nodes of this process: a map, never on disk |
//! | `reader`, `query` | the read thread, and the queries |
//!
//! Invariants worth naming:
//!
//! 1. **No reader sees a row that is not on disk.** The engine's commit writes and fsyncs the
//!    journal before it applies the rows to the tables that reads use. A restart fsyncs the journal
//!    before it replays it.
//! 2. **A batch is all or nothing**, across tables: so a message, its registers and the high-water
//!    mark agree after a crash at any point.
//! 3. **The two users' activity rows of a direct conversation are always equal**, and where there
//!    is one there are both memberships: they are only ever written together.
//! 4. **A membership of a room is the same in `members` and in `memberships`**: both rows are only
//!    ever written together. The one of `members` decides and is never deleted; the other one is
//!    deleted long after the user left.
//! 5. After a failed commit nothing is written until a restart: what an fsync lost once, the kernel
//!    does not write again, and a second one that succeeds proves nothing. The same holds after a
//!    failed flush, and when a file is gone. Reads go on.
//!
//! The windows that bound a partition in CQL are not needed here. Keys are ordered, so a range of
//! ids is one seek and a walk, at any length of the conversation.

mod batch;
mod directory;
mod entry;
mod expiry;
mod failure;
mod files;
mod heartbeats;
mod journal;
mod keys;
mod meta;
mod open;
mod open_error;
mod options;
mod ports;
mod query;
mod reader;
mod retag;
mod row;
mod salvage;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod worker_thread;
mod writer;

use std::sync::Arc;

use super::Identity;
use crate::clock::{SharedClocks, WallClock};
use crate::domain::{HybridClock, Micros};
use batch::BatchBuilder;
use failure::EngineFailure;
use heartbeats::HeartbeatTable;
use reader::ReadThread;
use tables::Tables;
use watch::FileWatch;
use writer::{BatchLimit, WriteThread};

pub use open_error::OpenError;
pub use options::{BATCH_BYTES_MAX, EmbeddedOptions, OPEN_FILES_MAX};
pub use retag::retag;
pub use salvage::{Inventory, SalvageLoss, check, salvage};
pub use tables::MEMORY_BYTES;

/// The store of one process. Dropping it closes it.
#[derive(Debug)]
pub struct Embedded {
    identity: Identity,
    clocks: SharedClocks,
    // Only the threads hold the tables, so the directory is free when all have ended.
    writer: WriteThread,
    reader: ReadThread,
    watch: FileWatch,
    failure: EngineFailure,
    heartbeats: HeartbeatTable,
}

impl Embedded {
    /// Opens the store of a directory, or makes one. `wall` is the wall clock's time. Blocks for
    /// the replay of the journal; needs no runtime.
    pub fn open(options: &EmbeddedOptions, wall: Micros) -> Result<Arc<Self>, OpenError> {
        let tables = Arc::new(Tables::open_within(&options.path, options.open_files)?);
        let (identity, floor) = open::admit(&tables, options, wall)?;
        let limit = BatchLimit { rows: options.bounds.batch_rows, bytes: BATCH_BYTES_MAX };
        let builder = BatchBuilder::new(Arc::clone(&tables), floor);
        let ids = Arc::new(HybridClock::starting_at(floor));
        let failure = EngineFailure::default();
        Ok(Arc::new(Self {
            identity,
            clocks: SharedClocks { wall: WallClock::starting_at(floor), ids },
            writer: WriteThread::start(
                options.bounds.write_queue,
                limit,
                builder,
                failure.clone(),
            )?,
            reader: ReadThread::start(options.bounds.read_queue, Arc::clone(&tables))?,
            watch: FileWatch::start(tables, failure.clone())?,
            failure,
            heartbeats: HeartbeatTable::default(),
        }))
    }
}
