//! The task that reads for a session until the session shares the watermark.

use std::cell::Cell;
use std::fmt;

use tokio::task::{AbortHandle, JoinHandle};

/// A session's reading task, if it has one. It takes one word.
#[derive(Default)]
pub struct ReaderTask {
    handle: Cell<Option<AbortHandle>>,
}

impl fmt::Debug for ReaderTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderTask").finish_non_exhaustive()
    }
}

impl ReaderTask {
    /// Records the task.
    pub fn begin<T>(&self, task: &JoinHandle<T>) {
        self.handle.set(Some(task.abort_handle()));
    }

    /// Returns whether there is a task.
    pub fn is_running(&self) -> bool {
        let handle = self.handle.take();
        let is_running = handle.is_some();
        self.handle.set(handle);
        is_running
    }

    /// Forgets the task, which is about to end: its memory is kept as long as the handle is.
    pub fn forget(&self) {
        self.handle.take();
    }

    /// Aborts the task, since the session is over.
    pub fn abort(&self) {
        if let Some(handle) = self.handle.take() {
            handle.abort();
        }
    }
}
