//! The read thread: the engine blocks, so no event loop may call it.

use std::fmt;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::tables::Tables;
use super::worker_thread::{QueueFull, WorkerThread};
use crate::store::{PendingRead, ReadError};

const THREAD: &str = "nc-store-read";

type Job = Box<dyn FnOnce(&Tables) + Send>;

/// The read thread.
pub(super) struct ReadThread(WorkerThread<Job>);

impl ReadThread {
    pub(super) fn start(queue: usize, tables: Arc<Tables>) -> io::Result<Self> {
        let work = move |jobs: Receiver<Job>| jobs.iter().for_each(|job| job(&tables));
        WorkerThread::start(THREAD, queue, work).map(Self)
    }

    /// Queues a query. It is skipped if its caller no longer waits for the answer.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Tables) -> Result<T, ReadError> + Send + 'static,
    ) -> PendingRead<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            if !reply.is_closed() {
                // An error means that the caller no longer waits for the answer.
                let _ = reply.send(query(tables));
            }
        });
        match self.0.submit(job) {
            Ok(()) => Box::pin(async { answer.await.unwrap_or_else(|_| Err(unanswered())) }),
            Err(refused) => Box::pin(ready(Err(refused.into()))),
        }
    }

    pub(super) fn close(&self) -> WaitForCancellationFutureOwned {
        self.0.close()
    }
}

impl fmt::Debug for ReadThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.0).finish()
    }
}

/// The answer to callers that waited for a thread that is gone.
fn unanswered() -> ReadError {
    ReadError::Unavailable { reason: "the read thread stopped".to_owned() }
}

impl From<QueueFull> for ReadError {
    fn from(refused: QueueFull) -> Self {
        match refused {
            QueueFull::Full { waiting } => Self::Overloaded { waiting },
            QueueFull::Closed => Self::Unavailable { reason: refused.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_full_queue_is_overload_and_an_abandoned_query_is_skipped() {
        let home = tempfile::tempdir().unwrap();
        let tables = Arc::new(Tables::open(home.path()).unwrap());
        let reader = ReadThread::start(2, tables).unwrap();
        let ((begun, busy), (gate, opened)) =
            (mpsc::sync_channel(64), mpsc::sync_channel::<()>(64));
        let first = reader.ask(move |_| {
            begun.send(()).unwrap();
            opened.recv().expect_err("the gate is opened by dropping it");
            Ok(1)
        });
        busy.recv().unwrap();
        let second = reader.ask(|_| Ok(2));
        drop(reader.ask(|_| -> Result<(), _> { panic!("no caller waits for this") }));
        let refused = reader.ask(|_| Ok(3)).await;
        assert_eq!(refused, Err(ReadError::Overloaded { waiting: 2 }));
        drop(gate);
        assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
        reader.close().await;
        assert_eq!(reader.ask(|_| Ok(4)).await, Err(QueueFull::Closed.into()));
    }
}
