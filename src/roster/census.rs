//! What a node makes of the rows that it reads.
//!
//! Invariants worth naming:
//! - Of each incarnation the row with the highest counter ever seen counts, however rows flicker.
//! - Nothing leaves the minimum but by [`Census::exclude`], after a repair that began when its
//!   incarnation was known to be dead, or by a row that says `left` and differs in nothing.
//! - An incarnation that was left out stays out: its lease is over, for itself as for everybody.

use std::time::Duration;

use ahash::AHashMap;
use smallvec::SmallVec;

use super::{Incarnation, Row, Rule, Rules, Run, ShardTag, Window};
use crate::domain::{Micros, Moment, Now};

/// How long a counter stands still until its incarnation counts as dead: from the end of the first
/// read that showed it to the begin of the last. Anything above the lease of 8 s is sound; the rest
/// is room for a monotonic clock that is off.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);

/// How far a bound stays behind the begin of its read: twice the 5 s that a wall clock may be off.
/// An incarnation that the read did not show is born later, so its ids are above.
pub const READ_CAP: Duration = Duration::from_secs(10);

/// The margin that is one second too small, for the simulation.
const READ_CAP_SHORT: Duration = Duration::from_secs(9);

/// A deadline within the lease, for the simulation.
const DEAD_TOO_EARLY: Duration = Duration::from_secs(5);

/// How much older than a node's first read a row's own stamp must be for its incarnation not to
/// count: the lease that the row gave, 8 s, twice the 5 s that either clock may be off, and a margin.
/// Its lease was over before the read began, so everything that it ever acknowledged was stored,
/// and the node, which has no session yet, reads it for each that comes.
pub const STALE_AFTER: Duration = Duration::from_secs(25);

/// An age at which the row's incarnation may be alive, for the simulation.
const STALE_TOO_EARLY: Duration = Duration::from_secs(4);

/// How long an incarnation that was left out is remembered, so that a late row of it is not taken
/// for a new one: rows are kept for an hour after their last write.
const REMEMBERED: Duration = Duration::from_hours(2);

/// Why live delivery may have missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Break {
    /// A subscriber connection was lost.
    LinkLost,
    /// A worker's queue was full.
    Overflow,
    /// A canary did not come back in time.
    CanaryLate,
    /// Somebody publishes to another run than the one that is heard.
    RunDiffers,
    /// Somebody's link came back to another run, or was down for long.
    EpochMoved,
    /// Somebody gave up on messages.
    GapMoved,
    /// An incarnation is dead.
    Dead,
    /// A row vanished.
    Vanished,
    /// Too long without a roster read.
    ReadGap,
}

impl Break {
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

    /// Its name in metrics and logs.
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

/// How far the cluster is, by one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
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
    row: Row,
    /// When the first read that showed the row's counter had ended.
    shown: Moment,
    /// The last read that showed it: its end and its number.
    seen: (Moment, u64),
    noted: SmallVec<[(ShardTag, Counts); 2]>,
    place: Place,
}

impl Known {
    fn new(row: Row, end: Moment, read: u64) -> Self {
        let noted = SmallVec::new();
        Self { row, shown: end, seen: (end, read), noted, place: Place::Counted }
    }

    /// Compares the row's counts with those noted last, and notes them.
    fn note_counts(&mut self, rules: Rules) -> (bool, bool) {
        let (mut epoch, mut gap) = (false, false);
        for shard in &self.row.shards {
            let fresh = (shard.epoch, shard.gap_no);
            let noted = self.noted.iter_mut().find(|(tag, _)| *tag == shard.shard);
            if let Some((_, noted)) = noted {
                epoch |= noted.0 != fresh.0;
                gap |= noted.1 != fresh.1;
                *noted = fresh;
            } else {
                let zero = rules.on(Rule::ZeroBaseline);
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
pub struct Census {
    known: AHashMap<Incarnation, Known>,
    reads: u64,
    rules: Rules,
}

impl Census {
    /// Nobody is known.
    pub fn new(rules: Rules) -> Self {
        Self { known: AHashMap::new(), reads: 0, rules }
    }

    /// Takes the rows of a read that began at `begin` and ended at `end`: the breaks that they
    /// show. `heard` is the run of the subscriber connection to a shard, if there is one.
    pub fn read(
        &mut self,
        rows: Vec<Row>,
        begin: Now,
        end: Moment,
        heard: impl Fn(ShardTag) -> Option<Run>,
    ) -> SmallVec<[Break; 4]> {
        let mut breaks = SmallVec::new();
        self.reads += 1;
        for row in rows {
            self.take(row, begin.wall, end);
        }
        let (rules, read) = (self.rules, self.reads);
        let vanished = |known: &Known| known.place == Place::Counted && known.seen.1 + 1 == read;
        if !rules.on(Rule::VanishedRow) {
            self.known.retain(|_, known| known.seen.1 == read);
        } else if self.known.values().any(vanished) {
            // It counts on by its last row, and is judged dead by it in time.
            breaks.push(Break::Vanished);
        }
        self.known.retain(|_, known| {
            known.place != Place::Excluded || end.since(known.seen.0) <= REMEMBERED
        });
        for known in self.known.values_mut() {
            compare(known, rules, &heard, &mut breaks);
            judge_death(known, begin.moment, end, rules, &mut breaks);
        }
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }

    fn take(&mut self, row: Row, wall: Micros, end: Moment) {
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
        let newer = row.counter > known.row.counter || !self.rules.on(Rule::HighestCounter);
        if newer && row.counter != known.row.counter {
            known.row = row;
            known.shown = end;
        }
    }

    /// Whether a row that the first read shows is of an incarnation that is over. Not so of later
    /// reads: there are sessions by then.
    fn is_stale(&self, row: &Row, wall: Micros) -> bool {
        let limit = if self.rules.on(Rule::StaleAge) { STALE_AFTER } else { STALE_TOO_EARLY };
        self.reads == 1 && wall.since(row.written) > limit && self.rules.on(Rule::StaleLeftOut)
    }

    /// How far the cluster is by the rows known now, of a read that began at `wall`.
    pub fn bounds(&self, wall: Micros) -> Bounds {
        let cap = match (self.rules.on(Rule::ReadCap), self.rules.on(Rule::ReadCapExact)) {
            (true, true) => wall - READ_CAP,
            (true, false) => wall - READ_CAP_SHORT,
            (false, _) => wall,
        };
        let counted = || self.known.values().filter(|known| known.place != Place::Excluded);
        let least = |number: fn(&Row) -> Micros| {
            counted().map(|known| number(&known.row)).fold(cap, Micros::min)
        };
        Bounds { settled: least(|row| row.settled), decided: least(|row| row.decided) }
    }

    /// Whether nobody who is alive publishes to a run that is not the one heard.
    pub fn agrees(&self, heard: impl Fn(ShardTag) -> Option<Run>) -> bool {
        !self.rules.on(Rule::RunCompared)
            || self
                .known
                .values()
                .filter(|known| known.place == Place::Counted)
                .all(|known| !runs_differ(&known.row, &heard))
    }

    /// The times of ids whose sends may be stored without being published: those that were
    /// answered `outcome_unknown`, and those that the dead had under way.
    pub fn unknown(&self) -> Vec<Window> {
        let told = self.known.values().flat_map(|known| known.row.unknown.iter().copied());
        let dead = self.known.values().filter(|known| known.place != Place::Counted);
        let under_way = dead.filter(|known| !known.row.left).map(|known| {
            let Row { decided, written, .. } = known.row;
            Window { from: decided, to: written + STALE_AFTER }
        });
        told.chain(under_way).collect()
    }

    /// The dead who are not left out yet.
    pub fn dying(&self) -> SmallVec<[Incarnation; 2]> {
        let dying = self.known.iter().filter(|(_, known)| known.place == Place::Dying);
        let mut dying: SmallVec<[Incarnation; 2]> = dying.map(|(key, _)| *key).collect();
        dying.sort_unstable();
        dying
    }

    /// Leaves dead incarnations out, after a repair that began when they were dead.
    pub fn exclude(&mut self, dead: &[Incarnation]) {
        for incarnation in dead {
            if let Some(known) = self.known.get_mut(incarnation) {
                known.place = Place::Excluded;
            }
        }
    }

    /// Leaves out those who said `left` and differed in nothing: the watermark advanced since.
    pub fn exclude_left(&mut self) {
        for known in self.known.values_mut() {
            if known.row.left && known.place == Place::Counted {
                known.place = Place::Excluded;
            }
        }
    }

    /// The rows of the living who have not left. One that vanished lives until it is dead.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let live = self.known.values().filter(|known| known.place == Place::Counted);
        live.map(|known| &known.row).filter(|row| !row.left)
    }
}

fn compare(
    known: &mut Known,
    rules: Rules,
    heard: &impl Fn(ShardTag) -> Option<Run>,
    breaks: &mut SmallVec<[Break; 4]>,
) {
    if known.place != Place::Counted {
        return;
    }
    let (epoch, gap) = known.note_counts(rules);
    let compared = !known.row.left || rules.on(Rule::LeftCompared);
    if !compared {
        return;
    }
    if rules.on(Rule::CountsCompared) {
        breaks.extend(epoch.then_some(Break::EpochMoved));
        breaks.extend(gap.then_some(Break::GapMoved));
    }
    if rules.on(Rule::RunCompared) && runs_differ(&known.row, heard) {
        breaks.push(Break::RunDiffers);
        if known.row.left {
            // It will never publish to the run that is heard: as good as dead, once.
            known.place = Place::Dying;
        }
    }
}

fn runs_differ(row: &Row, heard: &impl Fn(ShardTag) -> Option<Run>) -> bool {
    row.shards.iter().any(|shard| {
        heard(shard.shard).is_some_and(|here| shard.runs.iter().any(|run| *run != here))
    })
}

fn judge_death(
    known: &mut Known,
    begin: Moment,
    end: Moment,
    rules: Rules,
    breaks: &mut SmallVec<[Break; 4]>,
) {
    let age = if rules.on(Rule::DeathByReads) { begin } else { end }.since(known.shown);
    let limit = if rules.on(Rule::DeathAge) { DEAD_AFTER } else { DEAD_TOO_EARLY };
    if known.place != Place::Counted || known.row.left || age < limit {
        return;
    }
    if rules.on(Rule::DeathRepaired) {
        known.place = Place::Dying;
        breaks.push(Break::Dead);
    } else {
        known.place = Place::Excluded;
    }
}

#[cfg(test)]
mod tests;
