//! The queues of a node's workers.

use std::sync::Arc;

use super::{QueuedPublish, WORKERS_MAX, WorkerCommand, WorkerQueue};
use crate::cluster::DeliveryGap;
use crate::telemetry::Metrics;
use crate::watermark::WatermarkState;

/// The queues of a node's workers, 1 to [`WORKERS_MAX`] of them.
#[derive(Debug)]
pub struct WorkerQueues {
    queues: Vec<Arc<WorkerQueue>>,
    watermark_state: Arc<WatermarkState>,
    metrics: Arc<Metrics>,
}

impl WorkerQueues {
    /// Makes the queues of `workers` workers, each of at most `max` pushes. A loss is reported to
    /// `watermark_state`.
    pub fn new(
        workers: usize,
        max: usize,
        watermark_state: Arc<WatermarkState>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let queues = (0..workers).map(|_| Arc::new(WorkerQueue::new(max))).collect();
        Self { queues, watermark_state, metrics }
    }

    /// How many workers there are.
    pub fn count(&self) -> usize {
        self.queues.len()
    }

    /// Every worker, one bit each.
    pub fn all(&self) -> u64 {
        u64::MAX >> (WORKERS_MAX - self.count() as u32)
    }

    /// The queue of a worker.
    pub fn of(&self, worker: u32) -> &Arc<WorkerQueue> {
        &self.queues[worker as usize]
    }

    /// Adds a push to the queues of these workers, one bit each, and returns the workers that lost
    /// it because their queue is full. For a message or a membership the delivery gap is raised in
    /// that step, since no cursor may pass what is lost.
    pub fn push(&self, workers: u64, push: &Arc<QueuedPublish>) -> u64 {
        let mut lost = 0;
        for (worker, inbox) in self.queues.iter().enumerate() {
            if workers & 1 << worker != 0 && !inbox.push(Arc::clone(push)) {
                if push.envelope.is_durable() {
                    self.watermark_state.open_gap();
                    self.metrics.watermark.gaps(DeliveryGap::Overflow.name()).inc();
                }
                self.metrics.bus.worker_queue_overflows.inc();
                push.done(false);
                lost |= 1 << worker;
            }
        }
        lost
    }

    /// Sends a command to every worker.
    pub fn tell_all(&self, command: &WorkerCommand) {
        self.queues.iter().for_each(|inbox| inbox.command(command.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_a_bit() {
        let all = |workers| WorkerQueues::new(workers, 1, Arc::default(), Arc::default()).all();
        assert_eq!([1, 3, 64].map(all), [1, 0b111, u64::MAX]);
    }
}
