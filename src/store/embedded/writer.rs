//! Group commit: one thread takes the writes that wait, writes them with one fsync, and answers all
//! callers.

use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::entry::BatchEntry;
use super::failure::EngineFailure;
use super::row::Defect;
use super::worker_thread::{QueueFull, WorkerThread};
use crate::domain::Message;
use crate::store::{AppendError, Pending};

const THREAD: &str = "nc-store-write";

type Outcome = Result<(), AppendError>;

/// Why a commit failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommitError {
    /// Before anything was written. The next commit may succeed.
    NotWritten(String),
    /// Before anything was written, and no later commit will succeed.
    Failed(String),
    /// Somewhere on the way to the disk. There must be no later commit.
    Unknown(String),
}

/// What makes a batch durable: all of it or nothing, even if the power fails.
pub(super) trait Commit: Send + 'static {
    fn commit(&mut self, batch: &[BatchEntry]) -> Result<(), CommitError>;
}

/// The size at which a batch is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimit {
    pub(super) rows: usize,
    /// At most one row goes beyond it.
    pub(super) bytes: usize,
}

/// The write of one call.
struct Write {
    entry: BatchEntry,
    reply: oneshot::Sender<Outcome>,
}

/// The write thread.
#[derive(Debug)]
pub(super) struct WriteThread {
    lane: WorkerThread<Write>,
}

impl WriteThread {
    pub(super) fn start(
        queue: usize,
        limit: BatchLimit,
        commit: impl Commit,
        failure: EngineFailure,
    ) -> io::Result<Self> {
        let work = move |writes| WriteLoop { writes, limit, commit, failure }.run();
        Ok(Self { lane: WorkerThread::start(THREAD, queue, work)? })
    }

    /// Queues a message.
    pub(super) fn append(&self, message: Arc<Message>) -> Pending<Outcome> {
        self.write(BatchEntry::message(message))
    }

    /// Queues a write that could be encoded. It is written even if the caller drops the answer.
    pub(super) fn write(&self, entry: Result<BatchEntry, Defect>) -> Pending<Outcome> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(defect) => return Box::pin(ready(Err(defect.into()))),
        };
        let (reply, answer) = oneshot::channel();
        match self.lane.submit(Write { entry, reply }) {
            Ok(()) => Box::pin(async { answer.await.unwrap_or_else(|_| Err(unanswered())) }),
            Err(refused) => Box::pin(ready(Err(refused.into()))),
        }
    }

    pub(super) fn close(&self) -> WaitForCancellationFutureOwned {
        self.lane.close()
    }
}

/// The answer to callers that waited for a thread that is gone.
fn unanswered() -> AppendError {
    AppendError::OutcomeUnknown { reason: "the write thread stopped".to_owned() }
}

impl From<Defect> for AppendError {
    fn from(defect: Defect) -> Self {
        Self::Unavailable { reason: format!("its row cannot be written: {defect}") }
    }
}

impl From<QueueFull> for AppendError {
    fn from(refused: QueueFull) -> Self {
        Self::Unavailable { reason: refused.to_string() }
    }
}

/// Writes that share one fsync.
#[derive(Default)]
struct Batch {
    entries: Vec<BatchEntry>,
    replies: Vec<oneshot::Sender<Outcome>>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, write: Write) {
        self.bytes += write.entry.bytes();
        self.entries.push(write.entry);
        self.replies.push(write.reply);
    }

    fn is_below(&self, limit: BatchLimit) -> bool {
        self.entries.len() < limit.rows && self.bytes < limit.bytes
    }

    fn answer(self, outcome: &Outcome) {
        for reply in self.replies {
            // An error means that the caller no longer waits for the answer.
            let _ = reply.send(outcome.clone());
        }
    }
}

struct WriteLoop<C> {
    writes: Receiver<Write>,
    limit: BatchLimit,
    commit: C,
    failure: EngineFailure,
}

impl<C: Commit> WriteLoop<C> {
    fn run(mut self) {
        while let Ok(first) = self.writes.recv() {
            let batch = self.gather(first);
            let outcome = self.write(&batch.entries);
            batch.answer(&outcome);
        }
    }

    /// Takes the writes that wait already: the next batch gathers during the fsync of the last one.
    fn gather(&self, first: Write) -> Batch {
        let mut batch = Batch::default();
        batch.push(first);
        while batch.is_below(self.limit)
            && let Ok(write) = self.writes.try_recv()
        {
            batch.push(write);
        }
        batch
    }

    fn write(&mut self, entries: &[BatchEntry]) -> Outcome {
        if let Some(reason) = self.failure.reason() {
            return Err(AppendError::Unavailable { reason });
        }
        self.commit.commit(entries).map_err(|error| match error {
            CommitError::NotWritten(reason) => AppendError::Unavailable { reason },
            CommitError::Failed(reason) => {
                self.failure.set(reason.clone());
                AppendError::Unavailable { reason }
            }
            CommitError::Unknown(reason) => {
                self.failure.set(reason.clone());
                AppendError::OutcomeUnknown { reason }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, MessageId, Micros, UserId};
    use std::sync::mpsc::{self, SyncSender};

    fn message(time: u64, body_bytes: usize) -> Arc<Message> {
        let me = UserId::parse("me").unwrap();
        Arc::new(Message {
            id: MessageId::first_of(Micros(time)),
            conversation: Conversation::between(&me, &me),
            from: me,
            nonce: None,
            body: vec![b' '; body_bytes].into(),
        })
    }

    /// Reports which batch it was given, then does what the test asks.
    struct Told {
        begun: SyncSender<Vec<u64>>,
        told: Receiver<Result<(), CommitError>>,
    }

    impl Commit for Told {
        fn commit(&mut self, batch: &[BatchEntry]) -> Result<(), CommitError> {
            self.begun
                .send(batch.iter().filter_map(BatchEntry::issued).map(|time| time.0).collect())
                .unwrap();
            self.told.recv().unwrap()
        }
    }

    struct Bench {
        writer: WriteThread,
        begun: Receiver<Vec<u64>>,
        tell: SyncSender<Result<(), CommitError>>,
        failure: EngineFailure,
    }

    fn bench(queue: usize, rows: usize) -> Bench {
        let ((begun_in, begun), (tell, told)) = (mpsc::sync_channel(64), mpsc::sync_channel(64));
        let limit = BatchLimit { rows, bytes: 1000 };
        let (told, failure) = (Told { begun: begun_in, told }, EngineFailure::default());
        let writer = WriteThread::start(queue, limit, told, failure.clone()).unwrap();
        Bench { writer, begun, tell, failure }
    }

    fn unavailable(outcome: Outcome) -> String {
        match outcome {
            Err(AppendError::Unavailable { reason }) => reason,
            other => panic!("expected Unavailable, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn what_waits_is_written_together_and_what_does_not_fit_is_refused() {
        let Bench { writer, begun, tell, .. } = bench(3, 16);
        let first = writer.append(message(1, 1));
        assert_eq!(begun.recv().unwrap(), [1], "the writer holds the first, the queue is empty");
        let waiting: Vec<_> = (2..5).map(|time| writer.append(message(time, 1))).collect();
        let reason = unavailable(writer.append(message(5, 1)).await);
        assert_eq!(reason, "3 calls wait already, which is the bound");
        (0..2).for_each(|_| tell.send(Ok(())).unwrap());
        assert_eq!(first.await, Ok(()));
        for append in waiting {
            assert_eq!(append.await, Ok(()));
        }
        assert_eq!(begun.recv().unwrap(), [2, 3, 4]);
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_bounds() {
        let Bench { writer, begun, tell, .. } = bench(16, 2);
        let mut appends = vec![writer.append(message(1, 1))];
        assert_eq!(begun.recv().unwrap(), [1]);
        let sizes = [1, 1, 1, 1, 2000, 1];
        appends.extend((2..).zip(sizes).map(|(time, bytes)| writer.append(message(time, bytes))));
        (0..5).for_each(|_| tell.send(Ok(())).unwrap());
        for append in appends {
            assert_eq!(append.await, Ok(()));
        }
        let batches: Vec<_> = begun.try_iter().collect();
        assert_eq!(batches, [vec![2, 3], vec![4, 5], vec![6], vec![7]]);
    }

    #[tokio::test]
    async fn after_a_failed_commit_nothing_is_written() {
        let Bench { writer, begun, tell, failure } = bench(16, 16);
        let first = writer.append(message(1, 1));
        assert_eq!(begun.recv().unwrap(), [1]);
        let second = writer.append(message(2, 1));
        tell.send(Err(CommitError::Unknown("EIO".to_owned()))).unwrap();
        let unknown = AppendError::OutcomeUnknown { reason: "EIO".to_owned() };
        assert_eq!(first.await, Err(unknown));
        let reason = unavailable(second.await);
        assert_eq!(reason, "nothing is written until the node is started again: EIO");
        assert_eq!(failure.reason(), Some(reason));
        unavailable(writer.append(message(3, 1)).await);
        writer.close().await;
        assert_eq!(begun.try_iter().count(), 0, "no commit was tried again");
    }

    #[tokio::test]
    async fn a_commit_that_wrote_nothing_does_not_end_writing() {
        let Bench { writer, begun: _begun, tell, .. } = bench(16, 16);
        tell.send(Err(CommitError::NotWritten("busy".to_owned()))).unwrap();
        tell.send(Ok(())).unwrap();
        assert_eq!(unavailable(writer.append(message(1, 1)).await), "busy");
        assert_eq!(writer.append(message(2, 1)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_dropped_answer_does_not_undo_its_append() {
        let Bench { writer, begun, tell, .. } = bench(16, 16);
        let first = writer.append(message(1, 1));
        assert_eq!(begun.recv().unwrap(), [1]);
        drop(writer.append(message(2, 1)));
        drop(first);
        (0..2).for_each(|_| tell.send(Ok(())).unwrap());
        writer.close().await;
        assert_eq!(begun.try_iter().collect::<Vec<_>>(), [[2]]);
    }

    #[tokio::test]
    async fn a_writer_that_died_leaves_the_outcome_unknown() {
        let Bench { writer, begun, tell, .. } = bench(16, 16);
        let append = writer.append(message(1, 1));
        assert_eq!(begun.recv().unwrap(), [1]);
        drop(tell);
        assert_eq!(append.await, Err(unanswered()));
        writer.close().await;
        assert_eq!(unavailable(writer.append(message(2, 1)).await), "the store is closed");
    }

    #[tokio::test]
    async fn a_nonce_that_is_too_long_is_refused_with_its_length() {
        let Bench { writer, begun: _begun, tell: _tell, .. } = bench(16, 16);
        let nonce = Some("n".repeat(65).into());
        let message = Message { nonce, ..Message::clone(&message(1, 1)) };
        let reason = unavailable(writer.append(Arc::new(message)).await);
        assert!(reason.ends_with("its nonce has 65 bytes, at most 64 are allowed"), "{reason}");
    }
}
