//! The engine's tables and how it is set up.

use std::io;
use std::path::Path;
use std::sync::Arc;

use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};

use super::directory;
use super::entry::RegisterKind;
use super::expiry::Expiry;
use super::files::{self, Files};
use super::open_error::OpenError;
use super::options::OPEN_FILES_MAX;
use super::row::Defect;
use crate::clock::WallClock;
use crate::domain::Micros;
use crate::store::ReadError;

const MIB: u64 = 1024 * 1024;

/// Blocks kept in memory. The end of an active conversation, which is read most, is in the memtable
/// anyway; this is for paging back.
const CACHE_BYTES: u64 = 16 * MIB;

/// Threads that flush and compact. With two, the first puts every compaction back into the queue
/// while the second works, and so spins on one of two cores.
const ENGINE_THREADS: usize = 1;

/// Journals beyond this size are deleted after flushing the rows in them. It bounds the replay at
/// start; the active one, of up to 64 MiB, comes on top.
const JOURNAL_BYTES: u64 = 64 * MIB;

/// Rows of messages kept in memory before they go to a file.
const MESSAGES_MEMTABLE_BYTES: u64 = 16 * MIB;

/// The same for the other tables, whose rows are short and often rewritten.
const REGISTERS_MEMTABLE_BYTES: u64 = 4 * MIB;

/// Memory of the engine: blocks, and memtables that are written to while others are flushed.
pub const MEMORY_BYTES: u64 =
    CACHE_BYTES + 2 * (MESSAGES_MEMTABLE_BYTES + REGISTER_TABLES * REGISTERS_MEMTABLE_BYTES);

/// Tables beside that of the messages.
const REGISTER_TABLES: u64 = 8;

/// Bits per key of the filters that answer "not there" for registers: one wrong answer in a
/// hundred.
const FILTER_BITS: f32 = 10.0;

/// The table whose rows expire.
const SENDS: &str = "sends";

/// What is kept of rooms, beside their messages and the memberships of users.
pub(super) struct RoomTables {
    pub(super) rows: Keyspace,
    pub(super) members: Keyspace,
    pub(super) heads: Keyspace,
}

/// What is kept of messages after they were sent.
pub(super) struct ReceiptTables {
    pub(super) reads: Keyspace,
    pub(super) sends: Keyspace,
}

/// The tables of one directory, which is locked while any handle to them lives.
pub(super) struct Tables {
    pub(super) messages: Keyspace,
    pub(super) activity: Keyspace,
    pub(super) memberships: Keyspace,
    pub(super) rooms: RoomTables,
    pub(super) receipts: ReceiptTables,
    pub(super) meta: Keyspace,
    /// Whether the store is new.
    pub(super) is_new: bool,
    pub(super) files: Files,
    /// The clock that nonces are aged by.
    pub(super) clock: WallClock,
    database: Database,
}

impl Tables {
    /// Opens the tables, or makes them where the directory is empty. Refuses if another process, or
    /// this one, has them open, or if they differ from what was written.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_within(path, OPEN_FILES_MAX)
    }

    /// The same, with so many files kept open.
    pub(super) fn open_within(path: &Path, open_files: usize) -> Result<Self, OpenError> {
        let of_directory = |error: io::Error| OpenError::engine(path, &error);
        directory::prepare(path).map_err(of_directory)?;
        let is_new = !files::look(path)?;
        if is_new {
            files::begin(path).map_err(of_directory)?;
        }
        Self::open_engine(path, is_new, open_files).map_err(|error| match error {
            fjall::Error::Locked => OpenError::Locked { path: path.to_owned() },
            error => OpenError::Engine { path: path.to_owned(), reason: reason(&error) },
        })
    }

    /// Opens what is left of the tables in a copy, and makes anew those that are gone.
    pub(super) fn salvaged(path: &Path) -> Result<Self, OpenError> {
        Self::open_engine(path, false, OPEN_FILES_MAX)
            .map_err(|error| OpenError::Engine { path: path.to_owned(), reason: reason(&error) })
    }

    fn open_engine(path: &Path, is_new: bool, open_files: usize) -> fjall::Result<Self> {
        let clock = WallClock::starting_at(Micros(0));
        let of_expiry = clock.clone();
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .worker_threads(ENGINE_THREADS)
            .max_journaling_size(JOURNAL_BYTES)
            .max_cached_files(Some(open_files.clamp(1, OPEN_FILES_MAX)))
            // A commit waits for the disk, not for the last byte; and bodies are short.
            .journal_compression(CompressionType::None)
            .with_compaction_filter_factories(Arc::new(move |table| {
                (table == SENDS).then(|| Expiry::factory(&of_expiry))
            }))
            .open()?;
        Ok(Self {
            messages: database.keyspace("messages", messages)?,
            activity: database.keyspace("activity", registers)?,
            memberships: database.keyspace("memberships", registers)?,
            rooms: RoomTables {
                rows: database.keyspace("rooms", registers)?,
                members: database.keyspace("members", registers)?,
                heads: database.keyspace("heads", registers)?,
            },
            receipts: ReceiptTables {
                reads: database.keyspace("reads", registers)?,
                sends: database.keyspace(SENDS, registers)?,
            },
            meta: database.keyspace("meta", registers)?,
            is_new,
            clock,
            files: Files::of(path)?,
            database,
        })
    }

    /// Checks whether the engine takes writes, and whether its files exist. An error states what is
    /// wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Err(error) = self.database.persist(PersistMode::Buffer) {
            let cause = self.files.probe().err();
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            return Err(format!("{}{cause}", reason(&error)));
        }
        self.files.check()
    }

    /// All tables, with their names.
    pub(super) const fn all(&self) -> [(&'static str, &Keyspace); 9] {
        [
            ("messages", &self.messages),
            ("activity", &self.activity),
            ("memberships", &self.memberships),
            ("rooms", &self.rooms.rows),
            ("members", &self.rooms.members),
            ("heads", &self.rooms.heads),
            ("reads", &self.receipts.reads),
            (SENDS, &self.receipts.sends),
            ("meta", &self.meta),
        ]
    }

    /// The table of a kind of registers, and its name.
    pub(super) const fn of(&self, kind: RegisterKind) -> (&'static str, &Keyspace) {
        match kind {
            RegisterKind::Room => ("rooms", &self.rooms.rows),
            RegisterKind::Head => ("heads", &self.rooms.heads),
            RegisterKind::ReadMark => ("reads", &self.receipts.reads),
            RegisterKind::Nonce => (SENDS, &self.receipts.sends),
        }
    }

    /// A batch whose commit returns when it is on disk: it appends to the journal, fsyncs it, and
    /// only then applies the rows to what readers see. A failure in between poisons the engine.
    pub(super) fn batch(&self, rows: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.database.clone(), rows)
            .durability(Some(PersistMode::SyncData))
    }
}

/// Messages are only read in ranges, which filters do not help. They are never rewritten, so the
/// levels that hold most of them are worth compressing.
fn messages() -> KeyspaceCreateOptions {
    use CompressionType::{Lz4, None as Plain};
    KeyspaceCreateOptions::default()
        .max_memtable_size(MESSAGES_MEMTABLE_BYTES)
        .filter_policy(FilterPolicy::disabled())
        .data_block_compression_policy(CompressionPolicy::new([Plain, Plain, Lz4]))
}

/// Registers are read one by one, and mostly do not exist: the first message of a day asks for
/// them.
fn registers() -> KeyspaceCreateOptions {
    let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(FILTER_BITS));
    KeyspaceCreateOptions::default()
        .max_memtable_size(REGISTERS_MEMTABLE_BYTES)
        .filter_policy(FilterPolicy::all(filter))
        .data_block_compression_policy(CompressionPolicy::disabled())
}

/// The text of an engine's error.
pub(super) fn reason(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "a write of the engine failed".to_owned(),
        error => error.to_string(),
    }
}

impl From<fjall::Error> for ReadError {
    fn from(error: fjall::Error) -> Self {
        Self::Unavailable { reason: reason(&error) }
    }
}

/// The error of a row that cannot be read.
pub(super) fn corrupt(table: &'static str, key: &[u8], defect: &Defect) -> ReadError {
    let (key, reason) = (key.escape_ascii().to_string(), defect.to_string());
    ReadError::Corrupt { table, key, reason }
}
