//! A worker's queue of pushes.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Push;

/// Bounded, many writers, one reader, who takes all there is at once.
#[derive(Debug)]
pub struct Inbox {
    queue: Mutex<Vec<Arc<Push>>>,
    filled: Notify,
    max: usize,
}

impl Inbox {
    /// A queue of at most `max` pushes.
    pub fn new(max: usize) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), max }
    }

    /// Adds a push; false if the queue is full and the push is lost here.
    #[must_use]
    pub fn push(&self, push: Arc<Push>) -> bool {
        let mut queue = self.queue.lock();
        if queue.len() >= self.max {
            return false;
        }
        queue.push(push);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.filled.notify_one();
        }
        true
    }

    /// Waits for pushes and takes them all, into an empty `batch` whose memory is used again.
    pub async fn take(&self, batch: &mut Vec<Arc<Push>>) {
        debug_assert!(batch.is_empty(), "what was taken was delivered");
        loop {
            std::mem::swap(&mut *self.queue.lock(), batch);
            if !batch.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }
}
