//! The files that a store consists of. The engine creates every file that it does not find, even
//! the table of all messages. So the manifest, a file of its own, lists the files that must exist.
//! They are checked before the engine is opened, after every commit, and once a second.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::journal::{self, Inspected, JournalTail};
use super::open_error::OpenError;

/// The manifest, and its temporary name while it is written.
const MANIFEST: &str = "manifest";
const MANIFEST_NEW: &str = "manifest.new";

const UNREADABLE: &str = "`manifest` cannot be read";

const FIRST_LINE: &str = "narrowcast store 1";

/// Where the engine keeps its tables, one directory each. A file in each lists its other files that
/// count.
const TABLES: &str = "keyspaces";
const TABLE_MARKER: &str = "current";

/// Bytes that are written to test whether a store that failed could be opened: a memtable of
/// messages and one of registers, with a margin.
const PROBE_BYTES: usize = 32 * 1024 * 1024;

const PROBE: &str = "probe";

/// The file that a process locks while it has the store open.
const LOCK: &str = "lock";

/// What ext4 has in the root of a file system. It belongs to root, and others may not read it.
const OF_FILE_SYSTEM: &str = "lost+found";

/// The content of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Manifest {
    /// The directories of the tables; none before the store is complete.
    tables: Vec<u64>,
    /// The newest journal. Older ones are deleted once the tables hold their rows.
    journal: u64,
}

impl Manifest {
    /// Reads that of a directory. One that cannot be parsed is [`ErrorKind::InvalidData`].
    fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path.join(MANIFEST))?;
        let nonsense = || io::Error::new(ErrorKind::InvalidData, UNREADABLE);
        Self::parse(&text).ok_or_else(nonsense)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let tables = lines.next()?.strip_prefix("tables")?;
        let tables = tables.split_whitespace().map(|table| table.parse().ok());
        let journal = lines.next()?.strip_prefix("journal ")?.parse().ok()?;
        Some(Self { tables: tables.collect::<Option<_>>()?, journal })
    }

    fn text(&self) -> String {
        let tables: Vec<String> = self.tables.iter().map(u64::to_string).collect();
        format!("{FIRST_LINE}\ntables {}\njournal {}\n", tables.join(" "), self.journal)
    }

    /// Writes it so that after any crash there is the old one or the new one.
    fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.join(MANIFEST_NEW);
        let mut file = File::create(&fresh)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path.join(MANIFEST))?;
        File::open(path)?.sync_all()
    }
}

/// The files of an open store.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    /// Of the directory: another one under its name is another store.
    inode: u64,
    newest_journal: AtomicU64,
    /// The content on the disk.
    manifest: Mutex<Manifest>,
}

/// The files that a store lacks, which no process has open: the first of each kind.
pub(super) fn missing_of(path: &Path) -> Result<Option<String>, OpenError> {
    let unidentified = |_| OpenError::Unidentified { path: path.to_owned() };
    let manifest = Manifest::read(path).map_err(unidentified)?;
    must_be_free(path)?;
    let missing = journal::list(path).and_then(|journals| missing(path, &manifest, &journals));
    missing.map_err(|error| OpenError::engine(path, &error))
}

/// Checks a directory. Returns true if it holds a complete store. Returns false if it holds
/// nothing, or a store that was not complete when its process ended, whose files are then removed.
pub(super) fn look(path: &Path) -> Result<bool, OpenError> {
    let of_engine = |error: io::Error| OpenError::engine(path, &error);
    let manifest = match Manifest::read(path) {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(OpenError::lost(path, UNREADABLE.to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotFound && is_empty(path) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::Unidentified { path: path.to_owned() });
        }
        Err(error) => return Err(of_engine(error)),
    };
    must_be_free(path)?;
    if manifest.tables.is_empty() {
        // No request was ever answered by it.
        remove_all(path).map_err(of_engine)?;
        return Ok(false);
    }
    must_be_whole(path, &manifest)?;
    end_journals(path)?;
    Ok(true)
}

/// Whether a directory is missing or holds only what a fresh file system has.
pub(super) fn is_empty(path: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(path) else { return true };
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == OF_FILE_SYSTEM))
}

/// Copies a directory and all below it, but what belongs to the file system.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        match entry.file_name() {
            name if name == OF_FILE_SYSTEM => {}
            _ if entry.file_type()?.is_dir() => copy(&entry.path(), &there)?,
            _ => fs::copy(entry.path(), there).map(drop)?,
        }
    }
    Ok(())
}

/// The files that are checked, and cut, belong to no other process.
fn must_be_free(path: &Path) -> Result<(), OpenError> {
    let Ok(lock) = File::open(path.join(LOCK)) else { return Ok(()) };
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        Err(fs::TryLockError::Error(error)) => Err(OpenError::engine(path, &error)),
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.file_name() {
            // Last, so that the rest of it is never taken for something else.
            name if name == MANIFEST || name == OF_FILE_SYSTEM => {}
            _ if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
            _ => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_file(path.join(MANIFEST))
}

fn must_be_whole(path: &Path, manifest: &Manifest) -> Result<(), OpenError> {
    match journal::list(path).and_then(|journals| missing(path, manifest, &journals)) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(OpenError::lost(path, format!("{what} is missing"))),
        Err(error) => Err(OpenError::engine(path, &error)),
    }
}

/// Files that must exist and do not.
fn missing(
    path: &Path,
    manifest: &Manifest,
    journals: &[(u64, PathBuf)],
) -> io::Result<Option<String>> {
    for table in &manifest.tables {
        let marker = format!("{TABLES}/{table}/{TABLE_MARKER}");
        if !path.join(&marker).try_exists()? {
            return Ok(Some(format!("`{marker}`")));
        }
    }
    if journals.last().is_none_or(|(newest, _)| *newest < manifest.journal) {
        return Ok(Some(format!("`{}.jnl`", manifest.journal)));
    }
    let gap = journals.windows(2).find(|pair| pair[0].0 + 1 != pair[1].0);
    Ok(gap.map(|pair| format!("`{}.jnl`", pair[0].0 + 1)))
}

/// Cuts off the record that was under way when the process ended. All others must be whole.
fn end_journals(path: &Path) -> Result<(), OpenError> {
    let of_engine = |error: io::Error| OpenError::engine(path, &error);
    let journals = journal::inspect_all(path).map_err(of_engine)?;
    let newest = journals.last().map(|journal| journal.number);
    for Inspected { number, path: file, tail } in journals {
        let name = || format!("`{number}.jnl`");
        match tail {
            JournalTail::Clean => {}
            JournalTail::Torn { at, bytes } if Some(number) == newest => {
                tracing::warn!(
                    journal = %file.display(), at, bytes,
                    "the last record was being written when the process ended, and was never \
                     acknowledged: dropped"
                );
                journal::cut(&file, at).map_err(of_engine)?;
            }
            JournalTail::Torn { at, .. } => {
                return Err(OpenError::damaged(path, format!("{} from byte {at} on", name())));
            }
            JournalTail::Damaged { at, again } => {
                let place = format!("{} from byte {at} to {again}", name());
                return Err(OpenError::damaged(path, place));
            }
        }
    }
    Ok(())
}

fn write_probe(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let part = vec![0xA5; 1 << 16];
    for _ in 0..PROBE_BYTES / part.len() {
        file.write_all(&part)?;
    }
    file.sync_all()
}

/// Marks the directory of a new store as not complete yet.
pub(super) fn begin(path: &Path) -> io::Result<()> {
    Manifest::default().write(path)
}

impl Files {
    /// The files of a store that was opened.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let manifest = Manifest::read(path)?;
        let inode = fs::metadata(path)?.ino();
        let files = Self {
            path: path.to_owned(),
            inode,
            newest_journal: AtomicU64::new(manifest.journal),
            manifest: Mutex::new(manifest),
        };
        files.note_newest(&journal::list(path)?)?;
        Ok(files)
    }

    /// Marks the store as complete: the tables that exist now must exist ever after.
    pub(super) fn complete(&self) -> io::Result<()> {
        let mut tables = Vec::new();
        for entry in fs::read_dir(self.path.join(TABLES))? {
            let name = entry?.file_name();
            tables.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        tables.sort_unstable();
        let mut manifest = self.manifest.lock();
        if tables != manifest.tables {
            let fresh = Manifest { tables, ..manifest.clone() };
            fresh.write(&self.path)?;
            *manifest = fresh;
        }
        Ok(())
    }

    /// Writes as much as a store needs to go on, and removes it. An error is the disk's.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.path.join(PROBE);
        let written = write_probe(&path);
        let removed = fs::remove_file(&path);
        written.and(removed)
    }

    /// Whether the newest journal still has its name: cheap enough to be checked after every
    /// commit. A newer one may have begun; the engine deletes the older one long after that.
    pub(super) fn has_journal(&self) -> bool {
        let newest = self.newest_journal.load(Ordering::Relaxed);
        [newest, newest + 1].iter().any(|journal| self.path.join(format!("{journal}.jnl")).exists())
    }

    /// Checks that all files exist, and records a newer journal. An error names what is missing.
    pub(super) fn check(&self) -> Result<(), String> {
        let told = |error: io::Error| format!("`{}`: {error}", self.path.display());
        let inode = fs::metadata(&self.path).map_err(told)?.ino();
        if inode != self.inode {
            return Err(format!("`{}` is another directory now", self.path.display()));
        }
        let journals = journal::list(&self.path).map_err(told)?;
        // If the disk is full, a later check records it.
        let _noted = self.note_newest(&journals);
        let manifest = self.manifest.lock().clone();
        match missing(&self.path, &manifest, &journals).map_err(told)? {
            None => Ok(()),
            Some(what) => Err(format!("`{}`: {what} is missing", self.path.display())),
        }
    }

    fn note_newest(&self, journals: &[(u64, PathBuf)]) -> io::Result<()> {
        let newest = journals.last().map_or(0, |(number, _)| *number);
        self.newest_journal.fetch_max(newest, Ordering::Relaxed);
        let mut manifest = self.manifest.lock();
        if newest > manifest.journal {
            let fresh = Manifest { journal: newest, ..manifest.clone() };
            fresh.write(&self.path)?;
            *manifest = fresh;
        }
        Ok(())
    }
}
