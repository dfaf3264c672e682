//! The watch: checks with the engine itself, and with the directory, whether the store can be
//! written. The engine's own work fails where no send sees it. Examples are a flush on a full disk,
//! a file that cannot be opened because clients hold all descriptors, and a removed directory.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::failure::EngineFailure;
use super::tables::Tables;
use super::worker_thread::WorkerThread;

const THREAD: &str = "nc-store-watch";

/// From one check to the next. A node must know within 2 s.
const PERIOD: Duration = Duration::from_millis(500);

/// The thread that watches.
#[derive(Debug)]
pub(super) struct FileWatch(WorkerThread<()>);

impl FileWatch {
    pub(super) fn start(tables: Arc<Tables>, failure: EngineFailure) -> io::Result<Self> {
        let work = move |end: Receiver<()>| {
            while end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                look(&tables, &failure);
            }
        };
        WorkerThread::start(THREAD, 1, work).map(Self)
    }

    pub(super) fn close(&self) -> WaitForCancellationFutureOwned {
        self.0.close()
    }
}

fn look(tables: &Tables, failure: &EngineFailure) {
    if failure.reason().is_none() {
        if let Err(found) = tables.check() {
            failure.set(found);
        }
        return;
    }
    if !failure.is_over() && tables.files.check().is_ok() && tables.files.probe().is_ok() {
        failure.end();
    }
}
