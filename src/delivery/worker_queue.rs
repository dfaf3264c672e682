//! A worker's queue: pushes of the bus and of other workers, with commands between them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{QueuedPublish, WorkerCommand};

/// One thing in a worker's queue.
#[derive(Debug)]
pub enum Work {
    /// A push to deliver.
    Push(Arc<QueuedPublish>),
    /// A command to carry out.
    Command(WorkerCommand),
}

/// A bounded queue with many writers. Its one reader takes everything at once.
#[derive(Debug)]
pub struct WorkerQueue {
    queue: Mutex<Vec<Work>>,
    filled: Notify,
    max: usize,
}

impl WorkerQueue {
    /// Makes a queue of at most `max` pushes.
    pub fn new(max: usize) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), max }
    }

    /// Adds a push; false if the queue is full and the push is lost here.
    #[must_use]
    pub fn push(&self, push: Arc<QueuedPublish>) -> bool {
        let mut queue = self.queue.lock();
        let fits = queue.len() < self.max;
        if fits {
            queue.push(Work::Push(push));
        }
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.filled.notify_one();
        }
        fits
    }

    /// Adds a command. It is never refused: commands are few, and a worker that does not answer
    /// gets no new ones.
    pub fn command(&self, command: WorkerCommand) {
        let mut queue = self.queue.lock();
        match (queue.last_mut(), &command) {
            (
                Some(Work::Command(last @ WorkerCommand::AdvanceWatermark(_))),
                WorkerCommand::AdvanceWatermark(_),
            ) => {
                *last = command;
            }
            _ => queue.push(Work::Command(command)),
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Waits for work and moves all of it into an empty `batch`, whose memory is used again.
    pub async fn take(&self, batch: &mut Vec<Work>) {
        debug_assert!(batch.is_empty(), "the batch before was worked off");
        loop {
            std::mem::swap(&mut *self.queue.lock(), batch);
            if !batch.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;

    #[tokio::test]
    async fn commands_pass_a_full_queue_and_keep_their_place() {
        let inbox = WorkerQueue::new(0);
        inbox.command(WorkerCommand::StartGeneration(1));
        inbox.command(WorkerCommand::AdvanceWatermark(Micros(1)));
        inbox.command(WorkerCommand::AdvanceWatermark(Micros(2)));
        inbox.command(WorkerCommand::DropGeneration(0));
        inbox.command(WorkerCommand::AdvanceWatermark(Micros(3)));
        let mut batch = Vec::new();
        inbox.take(&mut batch).await;
        let seen: Vec<String> = batch.iter().map(|work| format!("{work:?}")).collect();
        let told = [
            "StartGeneration(1)",
            "AdvanceWatermark(Micros(2))",
            "DropGeneration(0)",
            "AdvanceWatermark(Micros(3))",
        ];
        assert_eq!(seen, told.map(|told| format!("Command({told})")));
    }
}
