//! The engine's journals, checked before the engine reads them.
//!
//! The engine (fjall 3.1) takes the first bytes that it cannot parse for the end of a journal and
//! cuts it off there, even if records follow. So damage in the middle would silently lose
//! acknowledged writes. A torn end that happens to look like a record would be refused. This file
//! decides what may be cut off:
//!
//! - One commit is under way at a time, and nothing is acknowledged before its fsync. So a loss of
//!   power can tear the last record of the newest journal, in any way, and no other byte. A sector
//!   may hold old bytes and new ones. It is assumed that a disk that tears it does not change the
//!   old ones (as `SQLite` does, "powersafe overwrite").
//! - The sequence numbers of records rise, from one journal to the next as well. They distinguish
//!   what was written from what a sector held before, such as a record of a deleted file.
//! - If whole records follow the unreadable bytes, or if it is not the newest journal, it is
//!   damage, and the store is refused.
//!
//! A record, numbers little-endian: `1`, how many items (4 bytes), sequence number (8); items: `2`,
//! kind (1), compression (1, none: 0), table (8), length of the key (2), of the value (4, twice),
//! key, value; or `4`, table (8): a table cleared; the end: `3`, XXH3 of the items' bytes (8),
//! `FJL\3`. Behind the last record there are zeros: journals are made 64 MiB long.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const TRAILER: [u8; 4] = *b"FJL\x03";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Largest length of a value that is believed: far above what a row may have, so that garbage
/// allocates no memory.
const VALUE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Bytes that are read at once.
const PART: usize = 64 * 1024;

/// What follows the last record of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalTail {
    /// Nothing.
    Clean,
    /// One record that was being written: its begin and its length.
    Torn { at: u64, bytes: u64 },
    /// Unreadable bytes begin at `at`; whole records begin again at `again`.
    Damaged { at: u64, again: u64 },
}

/// The journals of a directory, oldest first.
pub(super) fn list(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "jnl") {
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let number = name.and_then(|name| name.parse().ok());
            let number = number.ok_or_else(|| {
                io::Error::other(format!("`{}` is not the name of a journal", path.display()))
            })?;
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals)
}

/// A journal that was read to its end.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) tail: JournalTail,
}

/// Reads all journals of a directory, oldest first: their sequence numbers continue from one to the
/// next.
pub(super) fn inspect_all(path: &Path) -> io::Result<Vec<Inspected>> {
    let mut sequence = 0;
    let inspected = |(number, path): (u64, PathBuf)| {
        let tail = inspect(&path, &mut sequence)?;
        Ok(Inspected { number, path, tail })
    };
    list(path)?.into_iter().map(inspected).collect()
}

/// Reads a journal to its end. `sequence` is that of the last record before it, and then of its own
/// last one.
pub(super) fn inspect(path: &Path, sequence: &mut u64) -> io::Result<JournalTail> {
    let (journal, at) = read(path, sequence)?;
    let rest = rest(journal, at)?;
    Ok(match (rest.len() as u64, whole_record(&rest, *sequence)) {
        (0, _) => JournalTail::Clean,
        (_, Some(again)) => JournalTail::Damaged { at, again: at + again },
        (bytes, None) => JournalTail::Torn { at, bytes },
    })
}

/// Reads the records of a journal. Returns the file, and where the last one ends.
pub(super) fn read(path: &Path, sequence: &mut u64) -> io::Result<(File, u64)> {
    let mut journal = BufReader::with_capacity(PART, File::open(path)?);
    let mut at = 0;
    while let Some((bytes, number)) = record(&mut journal, *sequence)? {
        at += bytes;
        *sequence = number;
    }
    Ok((journal.into_inner(), at))
}

/// Cuts a journal off at a byte.
pub(super) fn cut(path: &Path, at: u64) -> io::Result<()> {
    let journal = OpenOptions::new().write(true).open(path)?;
    journal.set_len(at)?;
    journal.sync_all()
}

/// Keeps only the whole records of a journal, and returns the ranges of bytes that are lost.
pub(super) fn keep_whole(path: &Path, sequence: &mut u64) -> io::Result<Vec<(u64, u64)>> {
    let bytes = rest(File::open(path)?, 0)?;
    let (mut kept, mut lost, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        if let Some((length, number)) = record(&mut &bytes[at..], *sequence)? {
            kept.extend_from_slice(&bytes[at..at + length as usize]);
            at += length as usize;
            *sequence = number;
            continue;
        }
        let again = whole_record(&bytes[at..], *sequence).map_or(bytes.len(), |n| at + n as usize);
        lost.push((at as u64, again as u64));
        at = again;
    }
    std::fs::write(path, kept)?;
    File::open(path)?.sync_all()?;
    Ok(lost)
}

/// Everything from a byte on, without the zeros at its end.
fn rest(mut journal: File, at: u64) -> io::Result<Vec<u8>> {
    journal.seek(SeekFrom::Start(at))?;
    let (mut rest, mut zeros) = (Vec::new(), 0);
    let (mut part, nothing) = (vec![0; PART], vec![0; PART]);
    loop {
        let read = journal.read(&mut part)?;
        if read == 0 {
            break;
        }
        // Usually there are only zeros, 64 MiB of them.
        if part[..read] == nothing[..read] {
            zeros += read;
            continue;
        }
        rest.resize(rest.len() + zeros, 0);
        rest.extend_from_slice(&part[..read]);
        zeros = 0;
    }
    let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    rest.truncate(used);
    Ok(rest)
}

/// Finds the begin of a whole record with a later sequence number. No body can look like one: text
/// holds none of the bytes below 32.
fn whole_record(rest: &[u8], sequence: u64) -> Option<u64> {
    let is_whole = |at: &usize| {
        rest[*at] == START && matches!(record(&mut &rest[*at..], sequence), Ok(Some(_)))
    };
    (0..rest.len()).find(is_whole).map(|at| at as u64)
}

/// Reads one record. Returns its length and its sequence number; none if the bytes are not a
/// record, or do not follow the last.
fn record(journal: &mut impl Read, last: u64) -> io::Result<Option<(u64, u64)>> {
    let mut record = Record { journal, items: Xxh3::new(), bytes: 0 };
    match record.read() {
        Ok(Some(sequence)) if sequence > last || last == 0 => Ok(Some((record.bytes, sequence))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A record that is being read.
struct Record<'a, R> {
    journal: &'a mut R,
    items: Xxh3,
    bytes: u64,
}

impl<R: Read> Record<'_, R> {
    /// Reads it and returns its sequence number, if it is a record.
    fn read(&mut self) -> io::Result<Option<u64>> {
        if self.take::<1>()? != [START] {
            return Ok(None);
        }
        let count = u32::from_le_bytes(self.take()?);
        let sequence = u64::from_le_bytes(self.take()?);
        for _ in 0..count {
            if !self.item()? {
                return Ok(None);
            }
        }
        let sum = self.items.digest();
        let ends = self.take()? == [END] && u64::from_le_bytes(self.take()?) == sum;
        Ok((ends && self.take()? == TRAILER && count > 0).then_some(sequence))
    }

    fn item(&mut self) -> io::Result<bool> {
        let [tag] = self.hashed()?;
        if tag == CLEAR {
            let _table: [u8; 8] = self.hashed()?;
            return Ok(true);
        }
        let [_kind, compression] = self.hashed()?;
        let _table: [u8; 8] = self.hashed()?;
        let key = u16::from_le_bytes(self.hashed()?);
        let value = u32::from_le_bytes(self.hashed()?);
        let stored = u32::from_le_bytes(self.hashed()?);
        if tag != ITEM || compression != 0 || value != stored || value > VALUE_BYTES_MAX {
            return Ok(false);
        }
        self.skip(u64::from(key) + u64::from(value))?;
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.journal.read_exact(&mut bytes)?;
        self.bytes += N as u64;
        Ok(bytes)
    }

    fn hashed<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.take()?;
        self.items.update(&bytes);
        Ok(bytes)
    }

    /// Reads bytes that count for the checksum alone.
    fn skip(&mut self, mut left: u64) -> io::Result<()> {
        let mut part = [0; 4096];
        while left > 0 {
            let wanted = left.min(part.len() as u64) as usize;
            self.journal.read_exact(&mut part[..wanted])?;
            self.items.update(&part[..wanted]);
            self.bytes += wanted as u64;
            left -= wanted as u64;
        }
        Ok(())
    }
}
