//! The publishers' side. Each publish of a message is answered, repeated, detoured to `all` of
//! another shard, or given up on under an announced gap. Events are tried once.
//!
//! `settle` is called with the send id of each publish that is confirmed or given up on.

use std::collections::VecDeque;
use std::time::Duration;

use super::in_flight::SendId;
use crate::cluster::{LinkSnapshot, Safeguard, Safeguards, ServerRun};
use crate::domain::MonotonicTime;

/// How long a connection is down until its worker matches any run: the run that it reported last
/// may be over.
const RUN_STALE: Duration = Duration::from_secs(5);

/// How long a publish of a message is tried until it is given up on.
const GIVE_UP: Duration = Duration::from_secs(10);

/// The least time between two gaps of a connection: each costs all nodes a repair.
const GAP_PAUSE: Duration = Duration::from_secs(20);

/// A payload that is published.
pub trait Reroutable: Clone {
    /// The same for `all` of another shard: it names its keys, so its delivery does not depend on
    /// the channel. None for a payload that has a meaning on its own shard only.
    fn detoured(&self) -> Option<Self>;
}

/// Counts of what happened to publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publishes {
    /// Sent to `all` of another shard.
    pub detoured: u64,
    /// Given up on under a gap, or an event that could not be sent.
    pub dropped: u64,
    /// To be sent again.
    pub repeated: u64,
}

impl std::ops::AddAssign for Publishes {
    fn add_assign(&mut self, other: Self) {
        self.detoured += other.detoured;
        self.dropped += other.dropped;
        self.repeated += other.repeated;
    }
}

#[derive(Debug, Clone)]
struct Item<T> {
    payload: T,
    /// None for an event, and for a message that a gap covers already.
    send_id: Option<SendId>,
    since: MonotonicTime,
}

/// A worker's queue to one shard.
#[derive(Debug)]
struct Link<T> {
    up: bool,
    run: Option<ServerRun>,
    last_run: Option<ServerRun>,
    epoch: u64,
    gap_no: u64,
    last_gap: Option<MonotonicTime>,
    down_since: MonotonicTime,
    /// Publishes to be sent. Bounded.
    waiting: VecDeque<Item<T>>,
    /// The pipeline in flight. Bounded by the size of one pipeline.
    sent: VecDeque<Item<T>>,
    /// Dropped from the queue; to be announced. Bounded by the sends that may be pending.
    lost: Vec<SendId>,
}

/// A worker's queues to all shards.
#[derive(Debug)]
pub(super) struct PublishQueue<T> {
    links: Vec<Link<T>>,
    queue_max: usize,
    rules: Safeguards,
}

impl<T: Reroutable> PublishQueue<T> {
    /// Starts with no shard connected since `now`. `queue_max` publishes may wait for a shard.
    pub(super) fn new(
        shards: usize,
        queue_max: usize,
        now: MonotonicTime,
        rules: Safeguards,
    ) -> Self {
        let link = |_| Link {
            up: false,
            run: None,
            last_run: None,
            epoch: 0,
            gap_no: 0,
            last_gap: None,
            down_since: now,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            lost: Vec::new(),
        };
        Self { links: (0..shards).map(link).collect(), queue_max, rules }
    }

    pub(super) fn snapshot(&self) -> impl Iterator<Item = LinkSnapshot> {
        self.links.iter().map(|link| {
            let (epoch, gap_no) = (
                if self.rules.on(Safeguard::Epoch) { link.epoch } else { 0 },
                if self.rules.on(Safeguard::GapNumber) { link.gap_no } else { link.gap_no.min(1) },
            );
            LinkSnapshot { run: link.run, epoch, gap_no }
        })
    }

    /// Appends a publish.
    pub(super) fn publish(
        &mut self,
        shard: usize,
        payload: T,
        send_id: Option<SendId>,
        now: MonotonicTime,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        self.route(shard, Item { payload, send_id, since: now }, settle)
    }

    /// Puts a publish where it can go: its own shard, `all` of another, or the queue of its own.
    fn route(
        &mut self,
        shard: usize,
        mut item: Item<T>,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        let mut done = Publishes::default();
        let other = self.links.iter().position(|link| link.up).filter(|_| !self.links[shard].up);
        if let Some(other) = other
            && let Some(payload) = item.payload.detoured()
        {
            done.detoured = 1;
            item.payload = payload;
            if !self.rules.on(Safeguard::AwaitDetours) {
                item.send_id.take().into_iter().for_each(settle);
            }
            self.append(other, item, &mut done);
        } else if self.links[shard].up || item.send_id.is_some() {
            self.append(shard, item, &mut done);
        } else {
            done.dropped = 1;
        }
        done
    }

    fn append(&mut self, shard: usize, item: Item<T>, done: &mut Publishes) {
        let link = &mut self.links[shard];
        if link.waiting.len() < self.queue_max {
            link.waiting.push_back(item);
            return;
        }
        match item.send_id {
            Some(send_id) => link.lost.push(send_id),
            None => done.dropped += 1,
        }
    }

    /// Notes that a connection is up. Publishes that wait for shards that are down take it.
    pub(super) fn up(
        &mut self,
        shard: usize,
        run: ServerRun,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        let link = &mut self.links[shard];
        link.epoch += u64::from(link.last_run.is_some_and(|last| last != run));
        (link.run, link.last_run, link.up) = (Some(run), Some(run), true);
        let mut done = Publishes::default();
        for other in (0..self.links.len()).filter(|other| *other != shard) {
            if !self.links[other].up {
                let items = std::mem::take(&mut self.links[other].waiting);
                items.into_iter().for_each(|item| done += self.route(other, item, settle));
            }
        }
        done
    }

    /// Notes that the connection is gone. Its unanswered and waiting publishes go elsewhere.
    pub(super) fn down(
        &mut self,
        shard: usize,
        now: MonotonicTime,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        let link = &mut self.links[shard];
        if !link.up {
            return Publishes::default();
        }
        (link.up, link.down_since) = (false, now);
        let sent = std::mem::take(&mut link.sent);
        let waiting = std::mem::take(&mut link.waiting);
        let mut done = Publishes::default();
        for (repeated, item) in
            sent.into_iter().map(|item| (1, item)).chain(waiting.into_iter().map(|item| (0, item)))
        {
            if item.send_id.is_some() {
                done.repeated += repeated;
                done += self.route(shard, item, settle);
            } else {
                done.dropped += 1;
            }
        }
        done
    }

    /// Takes the next pipeline, unless one is in flight.
    pub(super) fn take(&mut self, shard: usize, max: usize) -> impl Iterator<Item = &T> {
        let link = &mut self.links[shard];
        let fresh = link.up && link.sent.is_empty();
        if fresh {
            let count = link.waiting.len().min(max);
            if count == link.waiting.len() {
                std::mem::swap(&mut link.waiting, &mut link.sent);
            } else {
                link.sent.extend(link.waiting.drain(..count));
            }
        }
        link.sent.iter().take(if fresh { max } else { 0 }).map(|item| &item.payload)
    }

    /// Takes the answers to the pipeline in flight. Refused messages wait again, in front.
    pub(super) fn answered(
        &mut self,
        shard: usize,
        mut confirmed: impl FnMut(usize) -> bool,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        let mut done = Publishes::default();
        let link = &mut self.links[shard];
        let mut again = VecDeque::new();
        for (index, item) in link.sent.drain(..).enumerate() {
            match (confirmed(index), item.send_id) {
                (true, Some(send_id)) => settle(send_id),
                (false, Some(_)) => again.push_back(item),
                (false, None) => done.dropped += 1,
                (true, None) => {}
            }
        }
        done.repeated += again.len() as u64;
        again.append(&mut link.waiting);
        link.waiting = again;
        done
    }

    /// Handles connections that are down for long, and publishes that are tried for too long. A gap
    /// is raised in the step that settles what it covers.
    pub(super) fn tick(
        &mut self,
        now: MonotonicTime,
        settle: &mut impl FnMut(SendId),
    ) -> Publishes {
        let rules = self.rules;
        let mut done = Publishes::default();
        for link in &mut self.links {
            if rules.on(Safeguard::RunNone)
                && !link.up
                && link.run.is_some()
                && now.since(link.down_since) > RUN_STALE
            {
                link.epoch += 1;
                link.run = None;
            }
            done.dropped += link.give_up(now, rules, settle);
        }
        done
    }

    /// Whether nothing waits to be sent or answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.links.iter().all(|link| link.waiting.is_empty() && link.sent.is_empty())
    }

    /// Whether publishes wait for a shard.
    pub(super) fn has_waiting(&self, shard: usize) -> bool {
        !self.links[shard].waiting.is_empty()
    }
}

impl<T> Link<T> {
    /// Gives up on publishes that are tried for too long or were dropped from the queue, if a gap
    /// may be announced now. The gap covers only what is gone for good.
    fn give_up(
        &mut self,
        now: MonotonicTime,
        rules: Safeguards,
        settle: &mut impl FnMut(SendId),
    ) -> u64 {
        let may = self.last_gap.is_none_or(|last| now.since(last) >= GAP_PAUSE);
        let is_old = |since: MonotonicTime| now.since(since) > GIVE_UP;
        if !may {
            return 0;
        }
        let is_old = |since: MonotonicTime| rules.on(Safeguard::GapByAge) && is_old(since);
        let (mut dropped, mut events) = (self.lost.len() as u64, 0);
        self.lost.drain(..).for_each(&mut *settle);
        // A pipeline in flight keeps its order, since its answers come by it.
        for item in self.sent.iter_mut().filter(|item| is_old(item.since)) {
            if let Some(send_id) = item.send_id.take() {
                dropped += 1;
                settle(send_id);
            }
        }
        self.waiting.retain(|item| {
            let keep = !is_old(item.since);
            match item.send_id {
                _ if keep => {}
                Some(send_id) => {
                    dropped += 1;
                    settle(send_id);
                }
                None => events += 1,
            }
            keep
        });
        if dropped > 0 {
            self.last_gap = Some(now);
            self.gap_no += u64::from(rules.on(Safeguard::GapAnnounced));
        }
        dropped + events
    }
}

#[cfg(test)]
mod tests;
