//! A worker's publisher connections.
//!
//! Sessions append to the worker's publish tracker. A task per shard takes everything that waits
//! for its shard, sends it as one pipeline and waits for the answers. Meanwhile the next batch
//! forms by itself. Answers belong to publishes by their order.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use super::answered;
use super::backoff::Backoff;
use super::link_states::{LinkRole, LinkStates};
use super::reconnect_signal::{ReconnectReceiver, ReconnectSignal};
use crate::bus::{Bus, BusError, OutboundPublish, Publisher};
use crate::clock::WallClock;
use crate::cluster::{Safeguards, ServerRun, WorkerProgress};
use crate::config::{LinkBounds, LinkTimeouts};
use crate::domain::{MessageId, Micros};
use crate::layout::ShardIndex;
use crate::redis::Channel;
use crate::telemetry::{Metrics, PublishOutcome, ShardTraffic};
use crate::watermark::{
    AckDecision, Lease, PublishBounds, PublishTracker, Publishes, Reroutable, SendId,
};

/// From one check for publishes that have been tried for too long to the next.
const TICK: Duration = Duration::from_secs(1);

/// A publish, and its target if its shard is down.
#[derive(Debug, Clone)]
pub struct Routed {
    publish: OutboundPublish,
    all: Channel,
    may_detour: bool,
}

impl Reroutable for Routed {
    fn detoured(&self) -> Option<Self> {
        let publish =
            OutboundPublish { channel: self.all.clone(), payload: self.publish.payload.clone() };
        self.may_detour.then(|| Self { publish, ..self.clone() })
    }
}

/// The inputs of one worker's connections.
#[derive(Debug)]
pub struct PublishersOptions<'a> {
    /// The worker.
    pub worker: u32,
    /// The shards' names.
    pub shards: &'a [String],
    /// Makes the connections.
    pub bus: &'a Arc<dyn Bus>,
    /// Where the states are recorded.
    pub health: &'a Arc<LinkStates>,
    /// The node's metrics.
    pub metrics: &'a Arc<Metrics>,
    /// The channel that every node receives.
    pub all: Channel,
    /// The channel without subscribers.
    pub probe: Channel,
    /// The node's clock.
    pub clock: WallClock,
    /// Signals the connections to close.
    pub reconnect: &'a ReconnectSignal,
    /// The bounds.
    pub bounds: LinkBounds,
    /// When connections count as lost, and are made again.
    pub waits: LinkTimeouts,
    /// Sends that may be unsettled.
    pub pending: usize,
}

/// The publisher connections of one worker, one per shard, and the ids that it issued.
#[derive(Debug)]
pub struct Publishers {
    shared: Rc<Shared>,
    all: Channel,
}

#[derive(Debug)]
struct Shared {
    tracker: RefCell<PublishTracker<Routed>>,
    /// One per shard: publishes wait for it.
    filled: Vec<Notify>,
    clock: WallClock,
    metrics: Arc<Metrics>,
}

/// The inputs of one shard's task.
struct Link {
    shared: Rc<Shared>,
    shard: ShardIndex,
    name: String,
    role: LinkRole,
    probe: OutboundPublish,
    traffic: ShardTraffic,
    bus: Arc<dyn Bus>,
    health: Arc<LinkStates>,
    reconnect_wanted: ReconnectReceiver,
    bounds: LinkBounds,
    waits: LinkTimeouts,
}

impl Publishers {
    /// Starts a task per shard, and one that watches the time, on the calling thread's runtime.
    pub fn start(plan: PublishersOptions<'_>) -> Self {
        let PublishersOptions { shards, clock, bounds, waits, .. } = plan;
        let tracker = PublishBounds { pending: plan.pending, queue_max: bounds.publish_queue };
        let tracker =
            PublishTracker::new(shards.len(), tracker, clock.moment(), Safeguards::default());
        let shared = Rc::new(Shared {
            tracker: RefCell::new(tracker),
            filled: shards.iter().map(|_| Notify::new()).collect(),
            clock,
            metrics: Arc::clone(plan.metrics),
        });
        for (index, name) in shards.iter().enumerate() {
            let link = Link {
                shared: Rc::clone(&shared),
                shard: ShardIndex(index as u32),
                name: name.clone(),
                role: LinkRole::Publisher { worker: plan.worker },
                probe: OutboundPublish {
                    channel: plan.probe.clone(),
                    payload: bytes::Bytes::new(),
                },
                traffic: plan.metrics.shards.traffic(name),
                bus: Arc::clone(plan.bus),
                health: Arc::clone(plan.health),
                reconnect_wanted: plan.reconnect.reconnect_wanted(index),
                bounds,
                waits,
            };
            tokio::task::spawn_local(link.run());
        }
        tokio::task::spawn_local(Rc::clone(&shared).tick());
        Self { shared, all: plan.all }
    }

    /// Issues the id that `make` gives, and enters it in the same step; none if too many sends are
    /// unsettled.
    pub fn issue(&self, make: impl FnOnce() -> MessageId) -> Option<(MessageId, SendId)> {
        let mut tracker = self.shared.tracker.borrow_mut();
        tracker.has_room().then(|| {
            let id = make();
            (id, tracker.enter(id.time(), self.shared.clock.moment()))
        })
    }

    /// The incarnation that ids are issued in.
    pub fn generation(&self) -> u32 {
        self.shared.tracker.borrow().generation()
    }

    /// Decides whether a send that the store acknowledged may still be published; it has
    /// `publishes` to come. Reads the clocks.
    pub fn check_ack(&self, send_id: SendId, lease: Option<Lease>, publishes: u8) -> AckDecision {
        let now = self.shared.clock.read();
        let lease = lease.filter(|_| !self.shared.clock.has_stepped());
        self.shared.tracker.borrow_mut().check_ack(send_id, now, lease, publishes)
    }

    /// Whether every publish of a send that passed is confirmed.
    pub fn is_confirmed(&self, send_id: SendId) -> bool {
        self.shared.tracker.borrow().is_confirmed(send_id)
    }

    /// Ends a send that publishes nothing.
    pub fn abandon(&self, send_id: SendId) {
        self.shared.tracker.borrow_mut().abandon(send_id);
    }

    /// Appends a publish of a message that passed, or of an event. If its shard is down it goes to
    /// `all` of another one. An envelope names its keys, so its delivery does not depend on the
    /// channel.
    pub fn publish(&self, shard: ShardIndex, publish: OutboundPublish, send_id: Option<SendId>) {
        self.append(shard, publish, send_id, true);
    }

    /// Publishes to `all` of a shard.
    pub fn publish_to_all(
        &self,
        shard: ShardIndex,
        payload: bytes::Bytes,
        send_id: Option<SendId>,
    ) {
        self.publish(shard, OutboundPublish { channel: self.all.clone(), payload }, send_id);
    }

    /// Publishes to `all` of every shard: for notices that every node must receive while any shard
    /// is there.
    pub fn publish_to_every_shard(&self, payload: &bytes::Bytes) {
        for shard in 0..self.shared.filled.len() as u32 {
            self.publish_to_all(ShardIndex(shard), payload.clone(), None);
        }
    }

    /// Publishes through this shard only.
    pub fn publish_here(&self, shard: ShardIndex, publish: OutboundPublish) {
        self.append(shard, publish, None, false);
    }

    fn append(
        &self,
        shard: ShardIndex,
        publish: OutboundPublish,
        send_id: Option<SendId>,
        may_detour: bool,
    ) {
        let routed = Routed { publish, all: self.all.clone(), may_detour };
        let now = self.shared.clock.moment();
        let mut tracker = self.shared.tracker.borrow_mut();
        let done = tracker.publish(shard.0 as usize, routed, send_id, now);
        drop(tracker);
        self.shared.count(done);
        if done.detoured > 0 {
            self.shared.wake_all();
        } else {
            self.shared.filled[shard.0 as usize].notify_one();
        }
    }

    /// Starts a new incarnation of the node.
    pub fn begin_incarnation(&self, generation: u32) {
        self.shared.tracker.borrow_mut().begin_incarnation(generation);
    }

    /// Drops an earlier incarnation of the node, which is over.
    pub fn forget(&self, generation: u32) {
        self.shared.tracker.borrow_mut().forget(generation);
    }

    /// This worker's part of the heartbeats: a snapshot of each incarnation, and whether everything
    /// of it is settled. `reading` was read from the clock of ids in this step.
    pub fn snapshots(&self, reading: Micros) -> Vec<(u32, WorkerProgress, bool)> {
        let mut tracker = self.shared.tracker.borrow_mut();
        let generations: Vec<u32> = tracker.generations().collect();
        let snapshot = |generation| {
            (generation, tracker.snapshot(generation, reading), tracker.is_settled(generation))
        };
        generations.into_iter().map(snapshot).collect()
    }

    /// Whether a send is unsettled for so long that something must be wrong here.
    pub fn is_stuck(&self) -> bool {
        self.shared.tracker.borrow().is_stuck(self.shared.clock.moment())
    }

    /// Whether nothing waits to be sent or answered.
    pub fn are_drained(&self) -> bool {
        self.shared.tracker.borrow().is_quiet()
    }
}

impl Shared {
    fn count(&self, done: Publishes) {
        self.metrics.shards.publishes(PublishOutcome::Detoured, done.detoured);
        self.metrics.shards.publishes(PublishOutcome::Repeated, done.repeated);
        self.metrics.shards.publishes(PublishOutcome::Dropped, done.dropped);
    }

    fn wake_all(&self) {
        self.filled.iter().for_each(Notify::notify_one);
    }

    async fn tick(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let done = self.tracker.borrow_mut().tick(self.clock.moment());
            self.count(done);
        }
    }
}

impl Link {
    async fn run(mut self) {
        let mut backoff = Backoff::new(self.waits.backoff_min, self.waits.backoff_max);
        loop {
            self.reconnect_wanted.renew();
            let error = match self.bus.publisher(self.shard).await {
                Ok(publisher) => {
                    let began = Instant::now();
                    self.health.note(&self.name, self.role, Ok(publisher.server().clone()));
                    self.up(&*publisher);
                    let error = self.serve(&*publisher).await;
                    self.down();
                    backoff.served(began.elapsed());
                    error
                }
                Err(error) => error,
            };
            self.health.note(&self.name, self.role, Err(error.to_string()));
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    fn index(&self) -> usize {
        self.shard.0 as usize
    }

    fn up(&self, publisher: &dyn Publisher) {
        let run = ServerRun::of(&publisher.server().run_id.to_string());
        let done = self.shared.tracker.borrow_mut().up(self.index(), run);
        self.shared.count(done);
    }

    fn down(&self) {
        let now = self.shared.clock.moment();
        let done = self.shared.tracker.borrow_mut().down(self.index(), now);
        self.shared.count(done);
        self.shared.wake_all();
    }

    async fn serve(&mut self, publisher: &dyn Publisher) -> BusError {
        loop {
            while let Some(batch) = self.take_batch() {
                if let Err(error) = self.send(publisher, &batch).await {
                    return error;
                }
                if self.reconnect_wanted.is_requested() {
                    return BusError::LookAgain;
                }
            }
            let shared = Rc::clone(&self.shared);
            tokio::select! {
                () = publisher.closed() => return BusError::Closed,
                () = self.reconnect_wanted.reconnect_requested() => return BusError::LookAgain,
                () = shared.filled[self.shard.0 as usize].notified() => {}
                () = tokio::time::sleep(self.waits.ping) => {
                    if let Err(error) = self.probe(publisher).await {
                        return error;
                    }
                }
            }
        }
    }

    /// Publishes to the channel without subscribers.
    async fn probe(&self, publisher: &dyn Publisher) -> Result<(), BusError> {
        self.shared.metrics.shards.canaries.inc();
        let answers = publisher.publish(std::slice::from_ref(&self.probe));
        answered(self.waits.reply, answers)
            .await?
            .into_iter()
            .try_for_each(|answer| answer.map(drop))
    }

    fn take_batch(&self) -> Option<Vec<OutboundPublish>> {
        let mut tracker = self.shared.tracker.borrow_mut();
        let batch: Vec<OutboundPublish> = tracker
            .take(self.index(), self.bounds.batch)
            .map(|routed| routed.publish.clone())
            .collect();
        (!batch.is_empty()).then_some(batch)
    }

    /// A refused publish closes the connection: what is refused here may pass elsewhere, or later.
    async fn send(
        &self,
        publisher: &dyn Publisher,
        batch: &[OutboundPublish],
    ) -> Result<(), BusError> {
        let metrics = &self.shared.metrics;
        let bytes: usize = batch.iter().map(|publish| publish.payload.len()).sum();
        self.traffic.published(batch.len() as u64, bytes as u64);
        let began = Instant::now();
        let answers = match answered(self.waits.reply, publisher.publish(batch)).await {
            Ok(answers) => answers,
            Err(error) => {
                metrics.shards.publishes(PublishOutcome::Failed, batch.len() as u64);
                return Err(error);
            }
        };
        self.traffic.answer.observe(began.elapsed());
        let confirmed = |index: usize| answers.get(index).is_some_and(Result::is_ok);
        let done = self.shared.tracker.borrow_mut().answered(self.index(), confirmed);
        self.shared.count(done);
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        let count = refused.clone().count() as u64;
        metrics.shards.publishes(PublishOutcome::Failed, count);
        metrics.shards.publishes(PublishOutcome::Answered, answers.len() as u64 - count);
        refused.clone().next().map_or(Ok(()), |error| {
            tracing::warn!(shard = self.name, %error, "a publish was refused");
            Err(error.clone())
        })
    }
}

#[cfg(test)]
mod tests;
