//! The subscriptions to one shard's buckets. Time is a number of milliseconds that the caller
//! knows.
//!
//! Invariants worth naming:
//! - A bucket is confirmed only by the answer to the *last* subscribe sent for it, with no
//!   unsubscribe after it. Each command has a generation, and an older answer counts for nothing.
//! - A bucket is in a batch of one kind at most. So the order of buckets is free, and only the
//!   order of batches matters.
//! - After a disconnect no bucket is confirmed and none lingers.

use std::collections::{BTreeSet, VecDeque};

use ahash::AHashMap;

use crate::cluster::{Safeguard, Safeguards};
use crate::layout::Bucket;

/// Lingering buckets are at most this part of the held ones, plus [`LINGER_FREE`]. More would be
/// traffic without receivers.
const LINGER_PART: usize = 10;

/// Lingering buckets that are always allowed.
const LINGER_FREE: usize = 1000;

/// Waits for one bucket that may accumulate before those that were given up are removed.
const WAITERS_UNSWEPT: usize = 16;

/// The state of a bucket at the server, compared with what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// The node receives from it.
    Confirmed,
    /// The node will receive from it.
    Awaited,
    /// No holder needs it.
    Unneeded,
}

/// Identifies a wait for a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaiterId(pub u64);

/// How long a bucket without holders stays subscribed, so that a session that reconnects needs no
/// round trip.
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    /// At least this long, in milliseconds. Jitter adds up to a quarter.
    pub ms: u64,
}

/// The kind of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterestAction {
    /// Start receiving.
    Subscribe,
    /// Stop receiving.
    Unsubscribe,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeCommand {
    /// Its number in the order of commands. It wraps, because only recent ones are compared.
    generation: u32,
    /// Its kind.
    pub action: InterestAction,
    /// The buckets that it is for.
    pub buckets: Vec<Bucket>,
}

/// What the server was last commanded about a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Absent,
    Subscribing,
    Confirmed,
    Leaving,
}

/// What is known of a bucket. There is one for nearly every session. So what few buckets have
/// (waits, and the end of a linger) is kept outside it.
#[derive(Debug)]
struct Entry {
    holders: u32,
    wire: Wire,
    /// The last command about it.
    generation: u32,
    queued: bool,
    lingers: bool,
}

impl Entry {
    const fn is_wanted(&self) -> bool {
        self.holders > 0 || self.lingers
    }

    /// Returns what must be commanded so that the server matches what is needed.
    const fn due(&self) -> Option<InterestAction> {
        match (self.is_wanted(), self.wire) {
            (true, Wire::Absent | Wire::Leaving) => Some(InterestAction::Subscribe),
            (false, Wire::Subscribing | Wire::Confirmed) => Some(InterestAction::Unsubscribe),
            _ => None,
        }
    }
}

/// The subscriptions to one shard's buckets.
#[derive(Debug)]
pub struct BucketSubscriptions {
    linger: Linger,
    entries: AHashMap<Bucket, Entry>,
    queue: VecDeque<Bucket>,
    lingering: BTreeSet<(u64, Bucket)>,
    linger_until: AHashMap<Bucket, u64>,
    /// The waits for buckets that are not confirmed.
    waiters: AHashMap<Bucket, Vec<WaiterId>>,
    /// Buckets that have holders.
    held: usize,
    generation: u32,
    connected: bool,
    rules: Safeguards,
}

impl BucketSubscriptions {
    /// Starts with no bucket needed, and without a connection.
    pub fn new(linger: Linger) -> Self {
        Self::under(linger, Safeguards::default())
    }

    /// The same with some safeguards switched off, for the simulation.
    pub(crate) fn under(linger: Linger, rules: Safeguards) -> Self {
        Self {
            rules,
            linger,
            entries: AHashMap::new(),
            queue: VecDeque::new(),
            lingering: BTreeSet::new(),
            linger_until: AHashMap::new(),
            waiters: AHashMap::new(),
            held: 0,
            generation: 0,
            connected: false,
        }
    }

    /// Adds a holder of a bucket. Returns true if it is the first.
    pub fn acquire(&mut self, bucket: Bucket) -> bool {
        let entry = self.entries.entry(bucket).or_insert(Entry {
            holders: 0,
            wire: Wire::Absent,
            generation: 0,
            queued: false,
            lingers: false,
        });
        entry.holders += 1;
        let first = entry.holders == 1;
        if first {
            self.held += 1;
            entry.lingers = false;
            if let Some(until) = self.linger_until.remove(&bucket) {
                self.lingering.remove(&(until, bucket));
            }
            self.enqueue(bucket);
        }
        first
    }

    /// Removes a holder of a bucket. The last one leaves the bucket lingering, and its waits end:
    /// they are returned. Otherwise returns none.
    pub fn release(&mut self, bucket: Bucket, now: u64, jitter: u64) -> Option<Vec<WaiterId>> {
        let entry = self.entries.get_mut(&bucket)?;
        debug_assert!(entry.holders > 0, "a release follows an acquire");
        entry.holders -= 1;
        if entry.holders > 0 {
            return None;
        }
        self.held -= 1;
        let void = self.waiters.remove(&bucket).unwrap_or_default();
        if self.connected {
            let until = now + self.linger.ms + jitter % (self.linger.ms / 4 + 1);
            entry.lingers = true;
            self.linger_until.insert(bucket, until);
            self.lingering.insert((until, bucket));
            self.shed_lingering();
        } else {
            self.entries.remove(&bucket);
        }
        Some(void)
    }

    /// Ends the oldest lingering first, down to the bound.
    fn shed_lingering(&mut self) {
        while self.lingering.len() > self.held / LINGER_PART + LINGER_FREE {
            self.end_oldest_linger();
        }
    }

    /// Ends the lingering whose time is over.
    pub fn expire(&mut self, now: u64) {
        while self.lingering.first().is_some_and(|(until, _)| *until <= now) {
            self.end_oldest_linger();
        }
    }

    fn end_oldest_linger(&mut self) {
        let Some((_, bucket)) = self.lingering.pop_first() else { return };
        self.linger_until.remove(&bucket);
        let Some(entry) = self.entries.get_mut(&bucket) else { return };
        entry.lingers = false;
        if entry.wire == Wire::Absent {
            self.entries.remove(&bucket);
        } else {
            self.enqueue(bucket);
        }
    }

    fn enqueue(&mut self, bucket: Bucket) {
        if !self.connected {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&bucket)
            && !entry.queued
            && entry.due().is_some()
        {
            entry.queued = true;
            self.queue.push_back(bucket);
        }
    }

    /// Whether the node receives everything that is published to a bucket from now on.
    pub fn is_confirmed(&self, bucket: Bucket) -> bool {
        self.entries.get(&bucket).is_some_and(|entry| entry.wire == Wire::Confirmed)
    }

    /// Whether a bucket is subscribed without a holder.
    pub fn is_lingering(&self, bucket: Bucket) -> bool {
        self.entries.get(&bucket).is_some_and(|entry| entry.lingers)
    }

    /// Returns how many buckets are subscribed without a holder.
    pub fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// Asks for the confirmation of a bucket. If it is still to come, `waiter` is among the waits
    /// that it ends. `is_live` states which earlier waits still have a receiver. The others are
    /// dropped from time to time, so that they do not collect while a shard is down.
    pub fn confirmation(
        &mut self,
        bucket: Bucket,
        waiter: WaiterId,
        mut is_live: impl FnMut(WaiterId) -> bool,
    ) -> SubscriptionState {
        match self.entries.get(&bucket) {
            Some(entry) if entry.wire == Wire::Confirmed => SubscriptionState::Confirmed,
            Some(entry) if entry.holders > 0 => {
                let waiters = self.waiters.entry(bucket).or_default();
                if waiters.len() >= WAITERS_UNSWEPT && waiters.len().is_power_of_two() {
                    waiters.retain(|waiter| is_live(*waiter));
                }
                waiters.push(waiter);
                SubscriptionState::Awaited
            }
            _ => SubscriptionState::Unneeded,
        }
    }

    /// Takes the next command: up to `max` buckets of one kind.
    pub fn next_batch(&mut self, max: usize) -> Option<SubscribeCommand> {
        let mut buckets = Vec::new();
        let mut action = None;
        while buckets.len() < max
            && let Some(&bucket) = self.queue.front()
        {
            let due = self.entries.get(&bucket).and_then(Entry::due);
            if due.is_some() && action.is_some() && due != action {
                break;
            }
            self.queue.pop_front();
            if let Some(due) = self.take_up(bucket, due) {
                action = Some(due);
                buckets.push(bucket);
            }
        }
        let action = action?;
        self.generation = self.generation.wrapping_add(1);
        Some(SubscribeCommand { generation: self.generation, action, buckets })
    }

    /// Marks a bucket as commanded in the batch that is being made.
    fn take_up(&mut self, bucket: Bucket, due: Option<InterestAction>) -> Option<InterestAction> {
        let generation = self.generation.wrapping_add(1);
        let entry = self.entries.get_mut(&bucket)?;
        entry.queued = false;
        entry.wire = match due? {
            InterestAction::Subscribe => Wire::Subscribing,
            InterestAction::Unsubscribe => Wire::Leaving,
        };
        entry.generation = generation;
        due
    }

    /// Takes the answer to a command. Returns the waits for the buckets that it confirmed.
    pub fn answered(&mut self, batch: &SubscribeCommand) -> Vec<WaiterId> {
        let mut waiters = Vec::new();
        for bucket in &batch.buckets {
            let Some(entry) = self.entries.get_mut(bucket) else { continue };
            let any = !self.rules.on(Safeguard::LastSubscribe)
                && batch.action == InterestAction::Subscribe;
            let newest = entry.generation == batch.generation;
            if entry.wire == Wire::Subscribing && (newest || any) {
                entry.wire = Wire::Confirmed;
                waiters.extend(self.waiters.remove(bucket).unwrap_or_default());
            } else if entry.wire == Wire::Leaving && newest {
                entry.wire = Wire::Absent;
                if !entry.is_wanted() {
                    self.entries.remove(bucket);
                }
            }
        }
        waiters
    }

    /// Notes a new connection, on which nothing is subscribed. Returns how many buckets must be
    /// commanded.
    pub fn connected(&mut self) -> usize {
        self.connected = true;
        let mut all: Vec<Bucket> = self.entries.keys().copied().collect();
        // In a fixed order, so that a simulated schedule can be repeated.
        all.sort_unstable();
        all.into_iter().for_each(|bucket| self.enqueue(bucket));
        self.queue.len()
    }

    /// Notes that the connection is gone.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.queue.clear();
        self.lingering.clear();
        self.linger_until.clear();
        self.entries.retain(|_, entry| {
            entry.wire = Wire::Absent;
            entry.queued = false;
            entry.lingers = false;
            entry.holders > 0
        });
    }
}

#[cfg(test)]
mod tests;
