//! A worker's publisher connections.
//!
//! Sessions append to a queue a shard; its task takes all that is there, sends it as one pipeline
//! and waits for the answers, while the next batch forms by itself. An answer belongs to its
//! publish by its place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::LinkBounds;
use super::backoff::Backoff;
use super::health::{Health, LinkRole};
use crate::bus::{Bus, BusError, Publish, Publisher};
use crate::layout::ShardIndex;
use crate::redis::Channel;
use crate::telemetry::{Metrics, PublishOutcome};

/// The publisher connections of one worker, one a shard.
#[derive(Debug)]
pub struct Publishers {
    queues: Vec<Rc<Queue>>,
    all: Channel,
    metrics: Arc<Metrics>,
    queue_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: RefCell<Vec<Publish>>,
    filled: Notify,
    up: Cell<bool>,
    /// A batch was taken and is not answered.
    sending: Cell<bool>,
}

/// What one shard's task works with.
struct Link {
    queue: Rc<Queue>,
    shard: ShardIndex,
    name: String,
    role: LinkRole,
    bus: Arc<dyn Bus>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    bounds: LinkBounds,
}

impl Publishers {
    /// Starts a task a shard on the calling thread's runtime. `all` is the channel that every
    /// node hears.
    pub fn start(
        worker: u32,
        shards: &[String],
        bus: &Arc<dyn Bus>,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
        all: Channel,
        bounds: LinkBounds,
    ) -> Self {
        let start = |(index, name): (usize, &String)| {
            let queue = Rc::<Queue>::default();
            let link = Link {
                queue: Rc::clone(&queue),
                shard: ShardIndex(index as u32),
                name: name.clone(),
                role: LinkRole::Publisher { worker },
                bus: Arc::clone(bus),
                health: Arc::clone(health),
                metrics: Arc::clone(metrics),
                bounds,
            };
            tokio::task::spawn_local(link.run());
            queue
        };
        let queues = shards.iter().enumerate().map(start).collect();
        Self { queues, all, metrics: Arc::clone(metrics), queue_max: bounds.queue }
    }

    /// Appends a publish to its shard's queue. If the shard is down it goes to `all` of another:
    /// an envelope names its keys, so its delivery does not depend on the channel.
    pub fn publish(&self, shard: ShardIndex, publish: Publish) {
        let own = &self.queues[shard.0 as usize];
        if own.up.get() {
            self.append(own, publish);
        } else if let Some(other) = self.queues.iter().find(|queue| queue.up.get()) {
            self.metrics.publishes(PublishOutcome::Detoured, 1);
            self.append(other, Publish { channel: self.all.clone(), ..publish });
        } else {
            self.metrics.publishes(PublishOutcome::Dropped, 1);
        }
    }

    /// Publishes to `all` of a shard.
    pub fn publish_to_all(&self, shard: ShardIndex, payload: bytes::Bytes) {
        self.publish(shard, Publish { channel: self.all.clone(), payload });
    }

    fn append(&self, queue: &Queue, publish: Publish) {
        let mut waiting = queue.waiting.borrow_mut();
        if waiting.len() >= self.queue_max {
            self.metrics.publishes(PublishOutcome::Dropped, 1);
            return;
        }
        waiting.push(publish);
        if waiting.len() == 1 {
            queue.filled.notify_one();
        }
    }

    /// Whether nothing waits to be sent or answered.
    pub fn are_drained(&self) -> bool {
        self.queues.iter().all(|queue| !queue.sending.get() && queue.waiting.borrow().is_empty())
    }
}

impl Link {
    async fn run(self) {
        let mut backoff = Backoff::new(self.bounds.backoff_min, self.bounds.backoff_max);
        loop {
            let error = match self.bus.publisher(self.shard).await {
                Ok(publisher) => {
                    backoff.reset();
                    self.health.note(&self.name, self.role, Ok(publisher.run_id().clone()));
                    self.queue.up.set(true);
                    let error = self.serve(&*publisher).await;
                    self.queue.up.set(false);
                    self.drop_waiting();
                    error
                }
                Err(error) => error,
            };
            self.health.note(&self.name, self.role, Err(error.to_string()));
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn serve(&self, publisher: &dyn Publisher) -> BusError {
        loop {
            while let Some(batch) = self.take_batch() {
                self.queue.sending.set(true);
                let sent = self.send(publisher, &batch).await;
                self.queue.sending.set(false);
                if let Err(error) = sent {
                    self.metrics.publishes(PublishOutcome::Failed, batch.len() as u64);
                    return error;
                }
            }
            tokio::select! {
                () = publisher.closed() => return BusError::Closed,
                () = self.queue.filled.notified() => {}
                () = tokio::time::sleep(self.bounds.ping) => {
                    if let Err(error) = self.bounds.answered(publisher.ping()).await {
                        return error;
                    }
                }
            }
        }
    }

    fn take_batch(&self) -> Option<Vec<Publish>> {
        let mut waiting = self.queue.waiting.borrow_mut();
        if waiting.is_empty() {
            return None;
        }
        if waiting.len() <= self.bounds.batch {
            return Some(std::mem::take(&mut *waiting));
        }
        Some(waiting.drain(..self.bounds.batch).collect())
    }

    async fn send(&self, publisher: &dyn Publisher, batch: &[Publish]) -> Result<(), BusError> {
        let answers = self.bounds.answered(publisher.publish(batch)).await?;
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        if let Some(error) = refused.clone().next() {
            tracing::warn!(shard = self.name, %error, "a publish was refused");
        }
        let refused = refused.count() as u64;
        self.metrics.publishes(PublishOutcome::Failed, refused);
        self.metrics.publishes(PublishOutcome::Answered, answers.len() as u64 - refused);
        Ok(())
    }

    /// What waits when the connection breaks is lost here; the messages among it are stored.
    fn drop_waiting(&self) {
        let lost = std::mem::take(&mut *self.queue.waiting.borrow_mut()).len();
        self.metrics.publishes(PublishOutcome::Dropped, lost as u64);
    }
}
