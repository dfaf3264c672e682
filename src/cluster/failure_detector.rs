//! What a node concludes from the heartbeats that it reads.
//!
//! Invariants worth naming:
//! - Of each incarnation the heartbeat with the highest counter ever seen counts, even if rows come
//!   and go.
//! - An incarnation leaves the minimum in two ways only. The first is
//!   [`FailureDetector::exclude`], after a repair that began when it was known to be dead. The
//!   second is a heartbeat that states `left` and shows no difference.
//! - An incarnation that was left out stays out: its lease is over, for itself as for every other
//!   node.

use std::time::Duration;

use ahash::AHashMap;
use smallvec::SmallVec;

use super::{Heartbeat, Incarnation, Safeguard, Safeguards, ServerRun, ShardTag, UnknownWindow};
use crate::domain::{ClockReading, Micros, MonotonicTime};

/// How long a counter must stand still before its incarnation counts as dead. It is measured from
/// the end of the first read that showed it to the begin of the last. Anything above the lease of 8
/// s is sound; the rest is a margin for a monotonic clock that is off.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);

/// How far a bound stays behind the begin of its read: twice the 5 s that a wall clock may be off.
/// An incarnation that the read did not show begins later, so its ids are above.
pub const READ_CAP: Duration = Duration::from_secs(10);

/// The margin that is one second too small, for the simulation.
const READ_CAP_SHORT: Duration = Duration::from_secs(9);

/// A deadline within the lease, for the simulation.
const DEAD_TOO_EARLY: Duration = Duration::from_secs(5);

/// How much older than a node's first read a heartbeat's own stamp must be for its incarnation not
/// to count. It is the sum of the lease of 8 s, twice the 5 s that either clock may be off, and a
/// margin. The lease was over before the read began, so everything that the incarnation
/// acknowledged was stored. The node has no session yet, and reads the store for each one that
/// comes.
pub const STALE_AFTER: Duration = Duration::from_secs(25);

/// An age at which the heartbeat's incarnation may be alive, for the simulation.
const STALE_TOO_EARLY: Duration = Duration::from_secs(4);

/// How long an incarnation that was left out is remembered, so that a late row of it does not count
/// as a new one. Rows are kept for an hour after their last write.
const REMEMBERED: Duration = Duration::from_hours(2);

/// Why live delivery may have missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryGap {
    /// A subscriber connection was lost.
    LinkLost,
    /// A worker's queue was full.
    Overflow,
    /// A canary did not come back in time.
    CanaryLate,
    /// A node publishes to another Redis run than the one that this node subscribes to.
    RunDiffers,
    /// A node's connection came back to another run, or was down for long.
    EpochMoved,
    /// A node gave up on messages.
    GapMoved,
    /// An incarnation is dead.
    Dead,
    /// A row vanished.
    Vanished,
    /// The cluster table was not read for too long.
    ReadGap,
}

impl DeliveryGap {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::LinkLost,
        Self::Overflow,
        Self::CanaryLate,
        Self::RunDiffers,
        Self::EpochMoved,
        Self::GapMoved,
        Self::Dead,
        Self::Vanished,
        Self::ReadGap,
    ];

    /// Returns its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkLost => "link_lost",
            Self::Overflow => "overflow",
            Self::CanaryLate => "canary_late",
            Self::RunDiffers => "run_differs",
            Self::EpochMoved => "epoch_moved",
            Self::GapMoved => "gap_moved",
            Self::Dead => "dead",
            Self::Vanished => "vanished",
            Self::ReadGap => "read_gap",
        }
    }
}

/// How far the cluster has got, by one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressBounds {
    /// Everything acknowledged up to here was published or announced as a gap.
    pub settled: Micros,
    /// Everything acknowledged up to here is in the store.
    pub decided: Micros,
}

/// Epoch and gap count.
type Counts = (u64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Counted,
    /// Dead, and to be left out after a repair.
    Dying,
    Excluded,
}

#[derive(Debug)]
struct Known {
    row: Heartbeat,
    /// When the first read that showed the row's counter had ended.
    shown: MonotonicTime,
    /// The last read that showed it: its end and its number.
    seen: (MonotonicTime, u64),
    noted: SmallVec<[(ShardTag, Counts); 2]>,
    place: Place,
}

impl Known {
    fn new(row: Heartbeat, end: MonotonicTime, read: u64) -> Self {
        let noted = SmallVec::new();
        Self { row, shown: end, seen: (end, read), noted, place: Place::Counted }
    }

    /// Compares the heartbeat's counts with those recorded last, and records them.
    fn note_counts(&mut self, rules: Safeguards) -> (bool, bool) {
        let (mut epoch, mut gap) = (false, false);
        for shard in &self.row.shards {
            let fresh = (shard.epoch, shard.gap_no);
            let noted = self.noted.iter_mut().find(|(tag, _)| *tag == shard.shard);
            if let Some((_, noted)) = noted {
                epoch |= noted.0 != fresh.0;
                gap |= noted.1 != fresh.1;
                *noted = fresh;
            } else {
                let zero = rules.on(Safeguard::ZeroBaseline);
                epoch |= zero && fresh.0 != 0;
                gap |= zero && fresh.1 != 0;
                self.noted.push((shard.shard, fresh));
            }
        }
        (epoch, gap)
    }
}

/// The incarnations that a node knows.
#[derive(Debug)]
pub struct FailureDetector {
    known: AHashMap<Incarnation, Known>,
    reads: u64,
    rules: Safeguards,
}

impl FailureDetector {
    /// Returns a failure detector that knows no node.
    pub fn new(rules: Safeguards) -> Self {
        Self { known: AHashMap::new(), reads: 0, rules }
    }

    /// Takes the rows of a read that began at `begin` and ended at `end`, and returns the delivery
    /// gaps that they show. `heard` is the run of the subscriber connection to a shard, if there is
    /// one.
    pub fn read(
        &mut self,
        rows: Vec<Heartbeat>,
        begin: ClockReading,
        end: MonotonicTime,
        heard: impl Fn(ShardTag) -> Option<ServerRun>,
    ) -> SmallVec<[DeliveryGap; 4]> {
        let mut breaks = SmallVec::new();
        self.reads += 1;
        for row in rows {
            self.take(row, begin.wall, end);
        }
        let (rules, read) = (self.rules, self.reads);
        let vanished = |known: &Known| known.place == Place::Counted && known.seen.1 + 1 == read;
        if !rules.on(Safeguard::VanishedRow) {
            self.known.retain(|_, known| known.seen.1 == read);
        } else if self.known.values().any(vanished) {
            // Its last heartbeat still counts, and it is declared dead in time.
            breaks.push(DeliveryGap::Vanished);
        }
        self.known.retain(|_, known| {
            known.place != Place::Excluded || end.since(known.seen.0) <= REMEMBERED
        });
        for known in self.known.values_mut() {
            compare(known, rules, &heard, &mut breaks);
            check_death(known, begin.moment, end, rules, &mut breaks);
        }
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }

    fn take(&mut self, row: Heartbeat, wall: Micros, end: MonotonicTime) {
        let read = self.reads;
        let is_stale = self.is_stale(&row, wall);
        let Some(known) = self.known.get_mut(&row.incarnation) else {
            let mut known = Known::new(row, end, read);
            if is_stale {
                known.place = Place::Excluded;
            }
            self.known.insert(known.row.incarnation, known);
            return;
        };
        known.seen = (end, read);
        let newer = row.counter > known.row.counter || !self.rules.on(Safeguard::HighestCounter);
        if newer && row.counter != known.row.counter {
            known.row = row;
            known.shown = end;
        }
    }

    /// Returns whether a row of the first read belongs to an incarnation that is over. It does not
    /// apply to later reads, since sessions exist by then.
    fn is_stale(&self, row: &Heartbeat, wall: Micros) -> bool {
        let limit = if self.rules.on(Safeguard::StaleAge) { STALE_AFTER } else { STALE_TOO_EARLY };
        self.reads == 1 && wall.since(row.written) > limit && self.rules.on(Safeguard::StaleLeftOut)
    }

    /// Returns how far the cluster has got, by the heartbeats known now, of a read that began at
    /// `wall`.
    pub fn bounds(&self, wall: Micros) -> ProgressBounds {
        let cap = match (self.rules.on(Safeguard::ReadCap), self.rules.on(Safeguard::ReadCapExact))
        {
            (true, true) => wall - READ_CAP,
            (true, false) => wall - READ_CAP_SHORT,
            (false, _) => wall,
        };
        let counted = || self.known.values().filter(|known| known.place != Place::Excluded);
        let least = |number: fn(&Heartbeat) -> Micros| {
            counted().map(|known| number(&known.row)).fold(cap, Micros::min)
        };
        ProgressBounds { settled: least(|row| row.settled), decided: least(|row| row.decided) }
    }

    /// Returns whether every live node publishes to the Redis run that this node subscribes to.
    pub fn agrees(&self, heard: impl Fn(ShardTag) -> Option<ServerRun>) -> bool {
        !self.rules.on(Safeguard::RunCompared)
            || self
                .known
                .values()
                .filter(|known| known.place == Place::Counted)
                .all(|known| !runs_differ(&known.row, &heard))
    }

    /// Returns the times of ids whose sends may be stored without being published: those answered
    /// `outcome_unknown`, and those that dead incarnations had in flight.
    pub fn unknown(&self) -> Vec<UnknownWindow> {
        let told = self.known.values().flat_map(|known| known.row.unknown.iter().copied());
        let dead = self.known.values().filter(|known| known.place != Place::Counted);
        let under_way = dead.filter(|known| !known.row.left).map(|known| {
            let Heartbeat { decided, written, .. } = known.row;
            UnknownWindow { from: decided, to: written + STALE_AFTER }
        });
        told.chain(under_way).collect()
    }

    /// Returns the dead incarnations that are not left out yet.
    pub fn dying(&self) -> SmallVec<[Incarnation; 2]> {
        let dying = self.known.iter().filter(|(_, known)| known.place == Place::Dying);
        let mut dying: SmallVec<[Incarnation; 2]> = dying.map(|(key, _)| *key).collect();
        dying.sort_unstable();
        dying
    }

    /// Leaves out dead incarnations, after a repair that began when they were dead.
    pub fn exclude(&mut self, dead: &[Incarnation]) {
        for incarnation in dead {
            if let Some(known) = self.known.get_mut(incarnation) {
                known.place = Place::Excluded;
            }
        }
    }

    /// Leaves out incarnations that stated `left` and showed no difference: the watermark advanced
    /// since.
    pub fn exclude_left(&mut self) {
        for known in self.known.values_mut() {
            if known.row.left && known.place == Place::Counted {
                known.place = Place::Excluded;
            }
        }
    }

    /// Returns the heartbeats of live incarnations that have not left. One whose row vanished
    /// counts as live until it is dead.
    pub fn rows(&self) -> impl Iterator<Item = &Heartbeat> {
        let live = self.known.values().filter(|known| known.place == Place::Counted);
        live.map(|known| &known.row).filter(|row| !row.left)
    }
}

fn compare(
    known: &mut Known,
    rules: Safeguards,
    heard: &impl Fn(ShardTag) -> Option<ServerRun>,
    breaks: &mut SmallVec<[DeliveryGap; 4]>,
) {
    if known.place != Place::Counted {
        return;
    }
    let (epoch, gap) = known.note_counts(rules);
    let compared = !known.row.left || rules.on(Safeguard::LeftCompared);
    if !compared {
        return;
    }
    if rules.on(Safeguard::CountsCompared) {
        breaks.extend(epoch.then_some(DeliveryGap::EpochMoved));
        breaks.extend(gap.then_some(DeliveryGap::GapMoved));
    }
    if rules.on(Safeguard::RunCompared) && runs_differ(&known.row, heard) {
        breaks.push(DeliveryGap::RunDiffers);
        if known.row.left {
            // It will never publish to the run that this node subscribes to: it is treated as dead,
            // once.
            known.place = Place::Dying;
        }
    }
}

fn runs_differ(row: &Heartbeat, heard: &impl Fn(ShardTag) -> Option<ServerRun>) -> bool {
    row.shards.iter().any(|shard| {
        heard(shard.shard).is_some_and(|here| shard.runs.iter().any(|run| *run != here))
    })
}

fn check_death(
    known: &mut Known,
    begin: MonotonicTime,
    end: MonotonicTime,
    rules: Safeguards,
    breaks: &mut SmallVec<[DeliveryGap; 4]>,
) {
    let age = if rules.on(Safeguard::DeathByReads) { begin } else { end }.since(known.shown);
    let limit = if rules.on(Safeguard::DeathAge) { DEAD_AFTER } else { DEAD_TOO_EARLY };
    if known.place != Place::Counted || known.row.left || age < limit {
        return;
    }
    if rules.on(Safeguard::DeathRepaired) {
        known.place = Place::Dying;
        breaks.push(DeliveryGap::Dead);
    } else {
        known.place = Place::Excluded;
    }
}

#[cfg(test)]
mod tests;
