//! The store: three replicas, writes that reach each of them in their own time or never, reads that
//! touch two. So a quorum read sees what was acknowledged before it began. What was not may show in
//! one read and not in the next.

use super::event::{Msg, SimKey};
use super::queue::{SECOND, Time};
use super::rng::Rng;
use crate::cluster::Heartbeat;
use crate::domain::{MessageId, Micros};

/// Never.
pub const NEVER: Time = Time::MAX;

/// How long something takes: usually about `usual`; in some cases of a thousand up to `slow` more.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// The middle of the usual time.
    pub usual: Time,
    /// It is slow in this many of a thousand cases.
    pub slow_in: u32,
    /// How much slower at most.
    pub slow: Time,
}

impl Delay {
    /// Always about this long.
    pub const fn steady(usual: Time) -> Self {
        Self { usual, slow_in: 0, slow: 0 }
    }

    /// Draws one.
    pub const fn draw(&self, rng: &mut Rng) -> Time {
        let usual = self.usual / 2 + rng.below(self.usual + 1);
        if rng.chance(self.slow_in) { usual + rng.below(self.slow) } else { usual }
    }
}

/// When each replica has a row.
#[derive(Debug, Clone, Copy)]
pub struct Replicas(pub [Time; 3]);

/// Which two replicas a read touches, and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touch {
    replicas: [u8; 2],
    at: [Time; 2],
}

impl Touch {
    /// A read between two times.
    pub fn draw(rng: &mut Rng, begin: Time, end: Time) -> Self {
        let left_out = rng.below(3) as u8;
        let replicas = [(left_out + 1) % 3, (left_out + 2) % 3];
        let span = end - begin;
        let at = [begin + rng.below(span + 1), begin + rng.below(span + 1)];
        Self { replicas, at }
    }

    /// The same read, without this replica.
    pub const fn without(self, replica: u8) -> Self {
        Self { replicas: [(replica + 1) % 3, (replica + 2) % 3], ..self }
    }
}

impl Replicas {
    /// No replica has it.
    pub const NOWHERE: Self = Self([NEVER; 3]);

    /// Whether a read sees it.
    pub fn seen(&self, touch: &Touch) -> bool {
        self.seen_within(touch, NEVER)
    }

    /// Whether a read sees it, if it expires `ttl` after it was written.
    fn seen_within(&self, touch: &Touch, ttl: Time) -> bool {
        let has = |which: usize| {
            let applied = self.0[touch.replicas[which] as usize];
            applied <= touch.at[which] && touch.at[which] - applied < ttl
        };
        has(0) || has(1)
    }

    /// When a quorum has it.
    pub fn quorum(&self) -> Time {
        let [a, b, c] = self.0;
        a.max(b).min(a.max(c)).min(b.max(c))
    }
}

/// How writes go.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// Until a replica has it.
    pub delay: Delay,
    /// In this many of a thousand cases no quorum gets it in time.
    pub lost_in: u32,
    /// In this many of a thousand cases the acknowledgement is lost.
    pub unheard_in: u32,
}

impl Writing {
    /// Draws a write that begins now.
    pub fn draw(&self, rng: &mut Rng, now: Time) -> Replicas {
        let mut at = [(); 3].map(|()| now + 1 + self.delay.draw(rng));
        if rng.chance(self.lost_in) {
            let kept = rng.below(4) as usize;
            for (replica, at) in at.iter_mut().enumerate() {
                if replica != kept {
                    *at = if rng.chance(300) {
                        now + 5 * SECOND + rng.below(20 * SECOND)
                    } else {
                        NEVER
                    };
                }
            }
        }
        Replicas(at)
    }
}

/// One write of a row of the cluster table.
#[derive(Debug)]
pub struct RowWrite {
    /// What it writes.
    pub row: Heartbeat,
    /// The number of the incarnation within its boot.
    pub number: u32,
    /// Decides which of two writes stays.
    stamp: u64,
    /// The row that it writes to.
    key: u128,
    replicas: Replicas,
}

/// The store.
#[derive(Debug, Default)]
pub struct SimStore {
    writes: Vec<RowWrite>,
    keys: Vec<(u128, Vec<u16>)>,
}

impl SimStore {
    /// Removes everything.
    pub fn clear(&mut self) {
        self.writes.clear();
        self.keys.clear();
    }

    /// Prepares a write of a row, and returns its index.
    pub fn prepare(&mut self, row: Heartbeat, number: u32, key: u128, stamp: u64) -> u16 {
        self.writes.push(RowWrite { row, number, stamp, key, replicas: Replicas::NOWHERE });
        self.writes.len() as u16 - 1
    }

    /// Issues the write.
    pub fn issue(&mut self, write: u16, replicas: Replicas) {
        let RowWrite { key, .. } = self.writes[usize::from(write)];
        self.writes[usize::from(write)].replicas = replicas;
        match self.keys.iter_mut().find(|(found, _)| *found == key) {
            Some((_, writes)) => writes.push(write),
            None => self.keys.push((key, vec![write])),
        }
    }

    /// One write.
    pub fn write(&self, write: u16) -> &RowWrite {
        &self.writes[usize::from(write)]
    }

    /// The rows that a read sees, if each expires `ttl` after it was written.
    pub fn roster(&self, touch: &Touch, ttl: Time) -> Vec<Heartbeat> {
        let mut rows = Vec::with_capacity(self.keys.len());
        for (_, writes) in &self.keys {
            let seen = writes.iter().map(|write| &self.writes[usize::from(*write)]);
            let seen = seen.rev().filter(|write| write.replicas.seen(touch));
            // Stamps nearly always rise, so the first that is seen is the one that stays.
            if let Some(last) = seen.take(WINDOW).max_by_key(|write| write.stamp)
                && last.replicas.seen_within(touch, ttl)
            {
                rows.push(last.row.clone());
            }
        }
        rows
    }
}

/// Most writes that are seen out of order. A wall clock may step by 10 s, and rows may be late; the
/// writes of both times count.
const WINDOW: usize = 12;

/// A message as the store has it.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The message itself.
    pub row: Replicas,
    /// The rows in the activity of its two users. For a room's message the first is the room's
    /// head, for a membership the row on the user's side.
    pub activity: [Replicas; 2],
}

impl Stored {
    /// It was not written.
    pub const NOWHERE: Self =
        Self { row: Replicas::NOWHERE, activity: [Replicas::NOWHERE, Replicas::NOWHERE] };

    /// Draws its writes, which begin now.
    pub fn draw(writing: &Writing, rng: &mut Rng, now: Time) -> Self {
        let mut draw = || writing.draw(rng, now);
        Self { row: draw(), activity: [draw(), draw()] }
    }

    /// Draws the two writes of a room's message, or of a membership.
    pub fn draw_two(writing: &Writing, rng: &mut Rng, now: Time) -> Self {
        let (row, other) = (writing.draw(rng, now), writing.draw(rng, now));
        Self { row, activity: [other, other] }
    }

    /// All replicas have had it since before anything.
    pub const EVERYWHERE: Self = Self { row: Replicas([0; 3]), activity: [Replicas([0; 3]); 2] };

    /// When a quorum has all of it.
    pub fn quorum(&self) -> Time {
        self.row.quorum().max(self.activity[0].quorum()).max(self.activity[1].quorum())
    }
}

/// A read of what a user may have missed: the user's activity and the heads of the user's rooms
/// first, then ranges.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// The read of the activity and of heads.
    pub activity: Touch,
    /// The reads of the ranges.
    pub ranges: Touch,
    /// The id above which they show that something is new.
    pub since: MessageId,
    /// The id above which ranges begin: the last of the last page. Ids may share a time.
    pub above: MessageId,
    /// The key: a user's, or a room's.
    pub key: SimKey,
    /// Whether it is known that something is new.
    pub heads_known: bool,
}

impl Looks {
    /// A read of everything that one touch sees of a key.
    pub const fn of(key: SimKey, touch: Touch) -> Self {
        let since = crate::domain::NEVER;
        Self { activity: touch, ranges: touch, since, above: since, key, heads_known: true }
    }

    /// The same above a time.
    pub const fn above(self, time: Micros) -> Self {
        let id = MessageId::last_of(time);
        Self { since: id, above: id, ..self }
    }
}

/// A set of messages.
pub type Messages = u64;

/// The set of one message.
pub const fn one(message: Msg) -> Messages {
    1 << message
}
