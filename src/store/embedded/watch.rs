//! The watch: asks the engine itself, and the directory, whether the store can be written. Work of
//! the engine's own fails where no send sees it: a flush on a full disk, a file that cannot be
//! opened because clients hold all descriptors, a directory that was removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::failure::Failure;
use super::lane::Lane;
use super::tables::Tables;

const THREAD: &str = "nc-store-watch";

/// Between two looks. A node must know within 2 s.
const PERIOD: Duration = Duration::from_millis(500);

/// What is written to see whether a failed store could be opened: a memtable of messages and one
/// of registers, with room to spare.
const PROBE_BYTES: usize = 32 * 1024 * 1024;

const PROBE: &str = "probe";

/// The thread that watches.
#[derive(Debug)]
pub(super) struct Watch(Lane<()>);

impl Watch {
    pub(super) fn start(tables: Arc<Tables>, failure: Failure) -> io::Result<Self> {
        let work = move |end: Receiver<()>| {
            while end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                look(&tables, &failure);
            }
        };
        Lane::start(THREAD, 1, work).map(Self)
    }

    pub(super) fn close(&self) -> WaitForCancellationFutureOwned {
        self.0.close()
    }
}

fn look(tables: &Tables, failure: &Failure) {
    if failure.reason().is_none() {
        match tables.check() {
            Ok(()) => {}
            Err(found) => failure.set(found),
        }
        return;
    }
    if !failure.is_over() && tables.files.check().is_ok() && probe(tables.files.path()).is_ok() {
        failure.end();
    }
}

/// Whether a directory can be written.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    let path = path.join(PROBE);
    let written = write(&path);
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let part = vec![0xA5; 1 << 16];
    for _ in 0..PROBE_BYTES / part.len() {
        file.write_all(&part)?;
    }
    file.sync_all()
}
