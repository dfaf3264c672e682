//! A thread with a bounded queue before it.

use crate::clock::Readable;
use std::fmt;
use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a drop waits for the thread to finish the jobs that it accepted. The engine may hold a
/// commit back for as long as its disk is full; a process that stops must not wait for that.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Why a lane refused a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueueFull {
    #[error("{waiting} calls wait already, which is the bound")]
    Full { waiting: usize },
    #[error("the store is closed")]
    Closed,
}

/// A thread that works through a queue until the lane is closed and the queue is empty.
pub(super) struct WorkerThread<T> {
    queue: RwLock<Option<SyncSender<T>>>,
    bound: usize,
    ended: CancellationToken,
    /// Never receives; disconnected when the thread has ended. For waiting without a runtime.
    running: Mutex<Receiver<()>>,
}

impl<T: Send + 'static> WorkerThread<T> {
    /// Starts a thread on a queue of at most `bound` jobs. Everything that `work` owns is dropped
    /// before the lane counts as ended.
    pub(super) fn start(
        name: &str,
        bound: usize,
        work: impl FnOnce(Receiver<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let bound = bound.max(1);
        let (queue, jobs) = mpsc::sync_channel(bound);
        let (alive, running) = mpsc::sync_channel(1);
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Dropped last, and by a panic too.
            let _ended = (alive, guard);
            work(jobs);
        })?;
        Ok(Self { queue: RwLock::new(Some(queue)), bound, ended, running: Mutex::new(running) })
    }
}

impl<T> WorkerThread<T> {
    /// Queues a job, or refuses it at once.
    pub(super) fn submit(&self, job: T) -> Result<(), QueueFull> {
        let queue = self.queue.read();
        match queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(QueueFull::Full { waiting: self.bound }),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(QueueFull::Closed),
        }
    }

    /// Refuses further jobs. Completes when the thread has worked off the queue and ended.
    pub(super) fn close(&self) -> WaitForCancellationFutureOwned {
        self.queue.write().take();
        self.ended.clone().cancelled_owned()
    }
}

impl<T> Drop for WorkerThread<T> {
    fn drop(&mut self) {
        if self.queue.get_mut().take().is_none() {
            // It was closed, and the caller of `close` decided how long to wait.
            return;
        }
        let ended = self.running.get_mut().recv_timeout(STOP_WAIT);
        if ended == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(
                "a thread of the store is still busy after {}; the process does not wait for it",
                Readable(STOP_WAIT)
            );
        }
    }
}

impl<T> fmt::Debug for WorkerThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A lane that collects its jobs once the gate is opened, by dropping it.
    fn gated(bound: usize) -> (WorkerThread<u32>, SyncSender<()>, Arc<Mutex<Vec<u32>>>) {
        let (gate, opened) = mpsc::sync_channel::<()>(0);
        let done = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&done);
        let work = move |jobs: Receiver<u32>| {
            opened.recv().expect_err("the gate is opened by dropping it");
            seen.lock().extend(jobs.iter());
        };
        (WorkerThread::start("nc-test", bound, work).unwrap(), gate, done)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_loses_nothing() {
        let (lane, gate, done) = gated(2);
        assert_eq!(lane.submit(1), Ok(()));
        assert_eq!(lane.submit(2), Ok(()));
        assert_eq!(lane.submit(3), Err(QueueFull::Full { waiting: 2 }));
        let closed = lane.close();
        assert_eq!(lane.submit(4), Err(QueueFull::Closed));
        drop(gate);
        closed.await;
        lane.close().await;
        assert_eq!(*done.lock(), [1, 2]);
        assert_eq!(Arc::strong_count(&done), 1, "what the work owned is gone");
    }

    #[test]
    fn dropping_a_lane_waits_for_its_thread() {
        let (lane, gate, done) = gated(8);
        (0..8).for_each(|job| lane.submit(job).unwrap());
        drop(gate);
        drop(lane);
        assert_eq!(*done.lock(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Arc::strong_count(&done), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_the_lane() {
        let lane =
            WorkerThread::start("nc-test", 1, |_: Receiver<u32>| panic!("on purpose")).unwrap();
        lane.ended.cancelled().await;
        assert_eq!(lane.submit(1), Err(QueueFull::Closed));
    }
}
