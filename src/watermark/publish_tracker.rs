//! A worker's publishing: the ids that it issued, and the outcome of each.

use std::time::Duration;

use smallvec::SmallVec;

use super::in_flight::{InFlightSends, SendId};
use super::publish_queue::{PublishQueue, Publishes, Reroutable};
use super::state::Lease;
use crate::cluster::{LinkSnapshot, Safeguard, Safeguards, ServerRun, WorkerProgress};
use crate::domain::{ClockReading, Micros, MonotonicTime};

/// Longest time from an id to its acknowledgement by the store, on both clocks. A send that takes
/// longer is not published: readers rely on it to know how far back an unseen message may lie.
pub const ACK_LIMIT: Duration = Duration::from_secs(5);

/// How long a send may be unsettled until something must be wrong with this node.
const STUCK: Duration = Duration::from_mins(1);

/// The bounds of a publish tracker.
#[derive(Debug, Clone, Copy)]
pub struct PublishBounds {
    /// Sends that may be unsettled.
    pub pending: usize,
    /// Publishes that may wait for a shard.
    pub queue_max: usize,
}

/// What a send may do after the acknowledgement of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckDecision {
    /// Publish, and answer `sent`.
    Passed,
    /// Answer `outcome_unknown`, which is final.
    Unknown(UnknownReason),
}

/// Why an outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownReason {
    /// The store took too long.
    Late,
    /// The node's lease ran out meanwhile.
    Fenced,
}

/// One incarnation's sends.
#[derive(Debug)]
struct IncarnationSends {
    generation: u32,
    in_flight: InFlightSends,
    /// The connections' counts when the incarnation began: it counts from zero.
    base: SmallVec<[LinkSnapshot; 2]>,
}

/// A worker's side of publishing.
#[derive(Debug)]
pub struct PublishTracker<T> {
    /// The current incarnation is the last; the others drain.
    incarnations: Vec<IncarnationSends>,
    queue: PublishQueue<T>,
    /// The newest send of which a publish was given up on under an announced gap.
    last_given_up: Option<SendId>,
    bounds: PublishBounds,
    rules: Safeguards,
}

impl<T: Reroutable> PublishTracker<T> {
    /// Makes a tracker for a node with `shards` shards, in its first incarnation, at `now`.
    pub fn new(
        shards: usize,
        bounds: PublishBounds,
        now: MonotonicTime,
        rules: Safeguards,
    ) -> Self {
        let queue = PublishQueue::new(shards, bounds.queue_max, now, rules);
        let base = queue.snapshot().collect();
        let incarnations =
            vec![IncarnationSends { generation: 0, in_flight: InFlightSends::default(), base }];
        Self { incarnations, queue, last_given_up: None, bounds, rules }
    }

    /// Starts the incarnation with the number `generation`; the sends of earlier ones drain.
    pub fn begin_incarnation(&mut self, generation: u32) {
        let base = self.queue.snapshot().collect();
        self.incarnations.push(IncarnationSends {
            generation,
            in_flight: InFlightSends::default(),
            base,
        });
    }

    /// Drops an earlier incarnation, of which everything is settled.
    pub fn forget(&mut self, generation: u32) {
        self.incarnations.retain(|sends| sends.generation != generation);
    }

    fn sends_of(&mut self, generation: u32) -> Option<&mut IncarnationSends> {
        self.incarnations.iter_mut().find(|sends| sends.generation == generation)
    }

    /// The incarnations that are not dropped, the current one last.
    pub fn generations(&self) -> impl Iterator<Item = u32> {
        self.incarnations.iter().map(|sends| sends.generation)
    }

    /// The incarnation that ids are issued in.
    pub fn generation(&self) -> u32 {
        self.incarnations.last().map_or(0, |sends| sends.generation)
    }

    /// Whether every publish of a send was confirmed. It is false as well for every send up to the
    /// newest of which a publish was given up on: all nodes repair that gap, but a repair does not
    /// tell every session what was announced.
    pub fn is_confirmed(&self, send_id: SendId) -> bool {
        if self.last_given_up >= Some(send_id) {
            return false;
        }
        let sends = self.incarnations.iter().find(|sends| sends.generation == send_id.generation);
        sends.is_none_or(|sends| sends.in_flight.issued(send_id.number).is_none())
    }

    /// Whether one more send may be pending.
    pub fn has_room(&self) -> bool {
        self.incarnations.iter().map(|sends| sends.in_flight.len()).sum::<usize>()
            < self.bounds.pending
    }

    /// Enters an id in the step that issued it: no snapshot may be taken between the two.
    pub fn enter(&mut self, time: Micros, now: MonotonicTime) -> SendId {
        let sends = self.incarnations.last_mut().expect("there is always a current incarnation");
        SendId { generation: sends.generation, number: sends.in_flight.enter(time, now) }
    }

    /// Decides about a send that the store acknowledged. `now` was read once the acknowledgement
    /// was there. `lease` is the node's, read now. A send that passes has `publishes` to come.
    pub fn check_ack(
        &mut self,
        send_id: SendId,
        now: ClockReading,
        lease: Option<Lease>,
        publishes: u8,
    ) -> AckDecision {
        let rules = self.rules;
        let doubt =
            self.sends_of(send_id.generation).map_or(Some(UnknownReason::Fenced), |sends| {
                let (time, issued) = sends.in_flight.issued(send_id.number)?;
                let late = now.wall.since(time) > ACK_LIMIT || now.moment.since(issued) > ACK_LIMIT;
                let leased = lease.is_some_and(|lease| lease.holds(send_id.generation, now.moment));
                if late && rules.on(Safeguard::AckLimit) {
                    Some(UnknownReason::Late)
                } else {
                    (!leased && rules.on(Safeguard::Fence)).then_some(UnknownReason::Fenced)
                }
            });
        let publishes = if rules.on(Safeguard::AwaitAnswers) { publishes } else { 0 };
        self.decide(send_id, if doubt.is_some() { 0 } else { publishes });
        doubt.map_or(AckDecision::Passed, AckDecision::Unknown)
    }

    /// Ends a send that publishes nothing: it was answered with `outcome_unknown`, or was never
    /// stored.
    pub fn abandon(&mut self, send_id: SendId) {
        self.decide(send_id, 0);
    }

    fn decide(&mut self, send_id: SendId, publishes: u8) {
        if let Some(sends) = self.sends_of(send_id.generation) {
            sends.in_flight.decide(send_id.number, publishes);
        }
    }

    /// Appends a publish: of a message that passed, or of an event.
    pub fn publish(
        &mut self,
        shard: usize,
        payload: T,
        send_id: Option<SendId>,
        now: MonotonicTime,
    ) -> Publishes {
        let Self { incarnations, queue, .. } = self;
        queue.publish(shard, payload, send_id, now, &mut |send_id| settle(incarnations, send_id))
    }

    /// Notes that a connection to a shard is up.
    pub fn up(&mut self, shard: usize, run: ServerRun) -> Publishes {
        let Self { incarnations, queue, .. } = self;
        queue.up(shard, run, &mut |send_id| settle(incarnations, send_id))
    }

    /// Notes that the connection to a shard is gone.
    pub fn down(&mut self, shard: usize, now: MonotonicTime) -> Publishes {
        let Self { incarnations, queue, .. } = self;
        queue.down(shard, now, &mut |send_id| settle(incarnations, send_id))
    }

    /// Takes the next pipeline for a shard: nothing while one is in flight.
    pub fn take(&mut self, shard: usize, max: usize) -> impl Iterator<Item = &T> {
        self.queue.take(shard, max)
    }

    /// Takes the answers to the pipeline in flight to a shard; `confirmed` states them by index.
    pub fn answered(&mut self, shard: usize, confirmed: impl FnMut(usize) -> bool) -> Publishes {
        let Self { incarnations, queue, .. } = self;
        queue.answered(shard, confirmed, &mut |send_id| settle(incarnations, send_id))
    }

    /// Handles what depends on time alone. Once a second is often enough.
    pub fn tick(&mut self, now: MonotonicTime) -> Publishes {
        let Self { incarnations, queue, last_given_up, .. } = self;
        let done = queue.tick(now, &mut |send_id| {
            *last_given_up = (*last_given_up).max(Some(send_id));
            settle(incarnations, send_id);
        });
        #[cfg(test)]
        if done.dropped > 0 && !self.rules.on(Safeguard::GapAfterDrop) {
            self.incarnations.iter_mut().for_each(|sends| sends.in_flight.settle_all());
        }
        done
    }

    /// The worker's part of an incarnation's heartbeat. `reading` was read from the clock of ids in
    /// this step, and every later id is above it.
    pub fn snapshot(&mut self, generation: u32, reading: Micros) -> WorkerProgress {
        let links: SmallVec<[LinkSnapshot; 2]> = self.queue.snapshot().collect();
        let Some(sends) = self.sends_of(generation) else {
            return WorkerProgress { settled: reading, decided: reading, links };
        };
        let since = |(link, base): (&LinkSnapshot, &LinkSnapshot)| LinkSnapshot {
            run: link.run,
            epoch: link.epoch - base.epoch,
            gap_no: link.gap_no - base.gap_no,
        };
        WorkerProgress {
            settled: sends.in_flight.settled(reading),
            decided: sends.in_flight.decided(reading),
            links: links.iter().zip(&sends.base).map(since).collect(),
        }
    }

    /// Whether everything of an incarnation is settled.
    pub fn is_settled(&mut self, generation: u32) -> bool {
        self.sends_of(generation).is_none_or(|sends| sends.in_flight.len() == 0)
    }

    /// Whether a send is unsettled for so long that this node must fence itself.
    pub fn is_stuck(&self, now: MonotonicTime) -> bool {
        self.incarnations.last().is_some_and(|sends| sends.in_flight.oldest(now) > STUCK)
    }

    /// Whether nothing waits to be sent or answered.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_quiet()
    }

    /// Whether publishes wait for a shard.
    pub fn has_waiting(&self, shard: usize) -> bool {
        self.queue.has_waiting(shard)
    }
}

fn settle(incarnations: &mut [IncarnationSends], send_id: SendId) {
    if let Some(sends) =
        incarnations.iter_mut().find(|sends| sends.generation == send_id.generation)
    {
        sends.in_flight.publish_done(send_id.number);
    }
}

#[cfg(test)]
mod tests;
