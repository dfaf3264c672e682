//! The embedded store: one process, one directory, one ordered key-value engine (fjall).
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Embedded`]: the two threads, and the port in front of them |
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
//! | `expiry` | how nonces are forgotten |
//! | `files`, `journal` | which files must exist, and what may be cut off from a journal |
//! | `salvage` | what an operator can do with a damaged store |
//! | `watch`, `failure` | a thread that checks whether the store can be written, and its result |
//! | `cluster` | the nodes of this process: a map, never on disk |
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
mod query;
mod reader;
mod row;
mod salvage;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod worker_thread;
mod writer;

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use super::{
    Activity, AppendError, Day, HistoryRange, Identity, MembersPage, NonceRecord, Page, PageLimit,
    Pending, ReadError, RowError, Store,
};
use crate::clock::{SharedClocks, WallClock};
use crate::cluster::Heartbeat;
use crate::domain::{
    Conversation, HybridClock, Membership, Message, MessageId, Micros, Room, RoomId, UserId,
};
use crate::telemetry::StoreFigures;
use batch::BatchBuilder;
use entry::BatchEntry;
use failure::EngineFailure;
use heartbeats::HeartbeatTable;
use query::rooms;
use reader::ReadThread;
use tables::Tables;
use watch::FileWatch;
use writer::{BatchLimit, WriteThread};

pub use open_error::OpenError;
pub use options::{
    BATCH_BYTES_MAX, BATCH_ROWS, EmbeddedOptions, OPEN_FILES_MAX, READ_QUEUE, WRITE_QUEUE,
};
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
        let limit = BatchLimit { rows: options.batch_rows, bytes: BATCH_BYTES_MAX };
        let builder = BatchBuilder::new(Arc::clone(&tables), floor);
        let ids = Arc::new(HybridClock::starting_at(floor));
        let failure = EngineFailure::default();
        Ok(Arc::new(Self {
            identity,
            clocks: SharedClocks { wall: WallClock::starting_at(floor), ids },
            writer: WriteThread::start(options.write_queue, limit, builder, failure.clone())?,
            reader: ReadThread::start(options.read_queue, Arc::clone(&tables))?,
            watch: FileWatch::start(tables, failure.clone())?,
            failure,
            heartbeats: HeartbeatTable::default(),
        }))
    }
}

impl Store for Embedded {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn shared_clocks(&self) -> Option<SharedClocks> {
        Some(self.clocks.clone())
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn time(&self, coordinator: &str) -> Pending<Result<Micros, ReadError>> {
        let reason = format!("an embedded store has no coordinator {coordinator}");
        Box::pin(ready(Err(ReadError::Unavailable { reason })))
    }

    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>> {
        self.writer.append(message)
    }

    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>> {
        let conversation = conversation.clone();
        self.reader.ask(move |tables| query::history(tables, &conversation, range, limit))
    }

    fn activity(
        &self,
        user: &UserId,
        day: Day,
        limit: usize,
    ) -> Pending<Result<Vec<Activity>, ReadError>> {
        let user = user.clone();
        self.reader.ask(move |tables| query::activity(tables, &user, day, limit))
    }

    fn directs(
        &self,
        user: &UserId,
        after: Option<&Conversation>,
        limit: usize,
    ) -> Pending<Result<Vec<Conversation>, ReadError>> {
        let (user, after) = (user.clone(), after.cloned());
        self.reader.ask(move |tables| query::directs(tables, &user, after.as_ref(), limit))
    }

    fn is_member(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<bool, ReadError>> {
        let (user, conversation) = (user.clone(), conversation.clone());
        self.reader.ask(move |tables| query::is_member(tables, &user, &conversation))
    }

    fn put_room(&self, room: Room) -> Pending<Result<(), AppendError>> {
        self.writer.write(Ok(BatchEntry::room(&room)))
    }

    fn room(&self, room: &RoomId) -> Pending<Result<Option<Room>, ReadError>> {
        let room = room.clone();
        self.reader.ask(move |tables| rooms::room(tables, &room))
    }

    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>> {
        self.writer.write(Ok(BatchEntry::membership(membership)))
    }

    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>> {
        let (room, user) = (room.clone(), user.clone());
        self.reader.ask(move |tables| rooms::membership(tables, &room, &user))
    }

    fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Pending<Result<MembersPage, ReadError>> {
        let (room, after) = (room.clone(), after.cloned());
        self.reader.ask(move |tables| rooms::members(tables, &room, after.as_ref(), limit))
    }

    fn memberships(
        &self,
        user: &UserId,
        limit: usize,
    ) -> Pending<Result<Vec<Membership>, ReadError>> {
        let user = user.clone();
        self.reader.ask(move |tables| rooms::memberships(tables, &user, limit))
    }

    fn unlist(&self, left: Membership) -> Pending<Result<(), AppendError>> {
        self.writer.write(Ok(BatchEntry::unlist(left)))
    }

    fn head(&self, room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>> {
        let room = room.clone();
        self.reader.ask(move |tables| rooms::head(tables, &room))
    }

    fn mark_read(
        &self,
        user: &UserId,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Pending<Result<(), AppendError>> {
        self.writer.write(Ok(BatchEntry::read_mark(user, conversation, upto)))
    }

    fn read_mark(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<Option<MessageId>, ReadError>> {
        let (user, conversation) = (user.clone(), conversation.clone());
        self.reader.ask(move |tables| query::read_mark(tables, &user, &conversation))
    }

    fn note_nonce(
        &self,
        sender: &UserId,
        nonce: &str,
        record: NonceRecord,
    ) -> Pending<Result<(), AppendError>> {
        self.writer.write(BatchEntry::nonce(sender, nonce, &record))
    }

    fn nonce(
        &self,
        sender: &UserId,
        nonce: &str,
    ) -> Pending<Result<Option<NonceRecord>, ReadError>> {
        let (sender, nonce) = (sender.clone(), nonce.to_owned());
        self.reader.ask(move |tables| query::nonce(tables, &sender, &nonce))
    }

    fn write_row(&self, row: Heartbeat) -> Pending<Result<(), RowError>> {
        self.heartbeats.write(row, Instant::now());
        Box::pin(ready(Ok(())))
    }

    fn heartbeats(&self) -> Pending<Result<Vec<Heartbeat>, ReadError>> {
        Box::pin(ready(Ok(self.heartbeats.read(Instant::now()))))
    }

    fn failure(&self) -> Option<String> {
        self.failure.reason()
    }

    fn is_worth_a_restart(&self) -> bool {
        self.failure.is_over()
    }

    fn figures(&self) -> Option<StoreFigures> {
        None
    }

    fn close(&self) -> Pending<()> {
        let (written, read, watched) =
            (self.writer.close(), self.reader.close(), self.watch.close());
        Box::pin(async move {
            written.await;
            read.await;
            watched.await;
        })
    }
}
