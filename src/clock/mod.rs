//! What time it is on this node: the one place that reads a clock for ids and the watermark.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`WallClock`], the node's time |
//! | `interval` | an interval that contains the reference time |
//! | `reference` | how it is kept: checks against a clock that all nodes share |
//! | `readable` | durations in words |
//! | `status` | whether the time is known, in words |
//! | `bounds` | how far times may differ |
//!
//! # Why an added member gets everything that is sent afterwards
//!
//! A member is owed every message whose id is larger than the stamp of the add. The caller is
//! answered, and then another client sends through another node. That message's id must be larger,
//! although the two nodes have seen nothing of each other.
//!
//! Let R be the reference time: the median of the clocks of the store's coordinators. On the
//! embedded store it is the one clock that the nodes of the process share. Each node keeps an
//! interval that contains R ([`WallClock::lower`], [`WallClock::now`]), or states that the time is
//! not known. Three rules:
//!
//! 1. Every id and stamp is issued above the upper end as it is in that step, so **above R**.
//! 2. An add is answered only once the lower end has passed its stamp: so **R has passed it**.
//! 3. R does not run back.
//!
//! The answer comes at a time when R is at or above the stamp. Everything that is issued
//! afterwards, on any node, is above R, and R is still at or above the stamp. No node needs to know
//! how wrong another one is.
//!
//! - *Merges.* The clock of ids is the larger of the upper end and all that it has issued and seen.
//!   Merges only raise it, so rule 1 holds. They may raise a stamp above the upper end; then rule 2
//!   waits longer, at most [`PASSING_MAX`].
//! - *Restarts and joins.* A new node issues nothing until one of its own checks was good. What it
//!   issues then is above R, regardless of what it or its predecessor issued before.
//! - *Workers.* The node has one interval. Each worker issues an id above an upper end that it
//!   reads in the same step.
//! - *A process that is paused* goes on with a monotonic clock that went on. An id that was read
//!   before the pause was issued then.
//! - *A machine that is paused* may stop its monotonic clock. Its wall clock does not stop, or is
//!   set right when the machine goes on. So it leads the monotonic clock by more than before. That
//!   lead is read whenever an id is issued, and raises the upper end by as much. More than
//!   [`STEP_MAX`] ends the lease. (A hypervisor that hides a pause from all clocks of its guest is
//!   noticed by the next check, not before.)
//! - *Crystals.* The interval grows by the drift bound from check to check. A minute after the last
//!   good check the time is no longer known.
//! - *Liars.* A minority of the coordinators may state any time: the hull of a majority's answers
//!   contains the median of all. A coordinator that disagrees with the others is left out and
//!   named.
//! - *A reference that jumps.* Answers that contradict what was known make the time unknown: no
//!   sends, no adds, and waits in progress end as `outcome_unknown`. The clock of ids never falls.
//!   Most coordinators may jump back at once; the check that notices it comes at most
//!   [`CHECK_EVERY`] later. In between, a node that starts may issue ids below those that others
//!   have answered. Rule 3 is the operator's to keep: clocks must be slewed, not set.
//!
//! The stamp of an add is also above the newest message of its room, read at quorum. So a member is
//! never owed what was acknowledged before the add was requested.
//!
//! Removals wait for nothing: a removed user sees nothing, at any id. A change of a role is
//! answered like an add, since a node cannot tell from the rows whether the add was ever announced.
//! Two things are not ordered: a send after a list of members showed the new one, but before the
//! add was answered; and a send that is tried again and answered with an id older than the add.

mod bounds;
mod interval;
mod machine;
mod readable;
mod reference;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::{ClockReading, HybridClock, Micros, MonotonicTime};
use interval::raise;

pub use bounds::{
    CLAIMED_MAX, IDS_AHEAD_MAX, MARK_AHEAD_MAX, PASSING_MAX, STEP_MAX, UNCERTAINTY_MAX,
};
pub use interval::{DRIFT_PART, Interval};
pub use machine::MachineClock;
pub use readable::Readable;
pub use reference::{
    CHECK_AGAIN, CHECK_EVERY, COORDINATORS_MAX, Conclusion, QUESTIONS, ROUND_TRIP_MAX, Reference,
    Sample, VALID_FOR,
};
pub use status::{ClockDoubt, ClockStatus, Offset};

/// The clocks that all nodes of a process share, where the store belongs to that process.
#[derive(Debug, Clone)]
pub struct SharedClocks {
    /// The time.
    pub wall: WallClock,
    /// The source of ids.
    pub ids: Arc<HybridClock>,
}

/// The node's time: an interval that contains the reference time, driven by the monotonic clock.
/// [`Self::now`] is its upper end. Without a reference the two ends are equal. Clones are the same
/// clock.
#[derive(Debug, Clone)]
pub struct WallClock {
    shared: Arc<Shared>,
    since: Instant,
    machine: MachineClock,
}

#[derive(Debug)]
struct Shared {
    /// Whether there is a reference that this clock drifts against.
    drifts: bool,
    /// The ends at moment 0 of two lines, one a little slower and one a little faster than the
    /// monotonic clock. Their values at a moment are the interval then, with its drift.
    low: AtomicI64,
    high: AtomicI64,
    /// Whether the verdict is [`ClockStatus::Known`]. Every send reads it.
    known: AtomicBool,
    verdict: Mutex<ClockStatus>,
    /// How far the machine's clock was ahead of the monotonic one when the time was last seen to be
    /// right, in microseconds; or [`NO_LEAD`].
    lead: AtomicI64,
}

/// Steps of the machine's clock are not looked for.
const NO_LEAD: i64 = i64::MIN;

impl WallClock {
    /// Returns a clock without a reference. It starts at the larger of the machine's wall clock and
    /// `floor`, and is then driven by the monotonic clock. It is right by definition.
    pub fn starting_at(floor: Micros) -> Self {
        Self::new(floor, MachineClock::default(), false)
    }

    /// Returns a clock that a reference will set. Until then its time is not known, and it shows
    /// about the machine's.
    pub fn to_be_set(machine: MachineClock) -> Self {
        let clock = Self::new(Micros(0), machine, true);
        clock.assess(ClockStatus::Unknown { why: ClockDoubt::Unasked, since: clock.moment() });
        clock
    }

    fn new(floor: Micros, machine: MachineClock, drifts: bool) -> Self {
        let start = machine.now().max(floor).0 as i64;
        let shared = Shared {
            drifts,
            low: AtomicI64::new(start),
            high: AtomicI64::new(start),
            known: AtomicBool::new(true),
            verdict: Mutex::new(ClockStatus::Known),
            lead: AtomicI64::new(NO_LEAD),
        };
        Self { shared: Arc::new(shared), since: Instant::now(), machine }
    }

    /// The wall clock of the machine.
    pub fn system() -> Micros {
        MachineClock::default().now()
    }

    /// The upper end: at or above the reference time. Ids are issued above it.
    pub fn now(&self) -> Micros {
        self.read().wall
    }

    /// The lower end: at or below the reference time. Every clock has passed what it has passed.
    pub fn lower(&self) -> Micros {
        let moment = self.moment();
        let low = self.shared.low.load(Ordering::SeqCst) + moment.0 as i64;
        Micros((low - self.drifted(moment)).max(0) as u64)
    }

    /// The monotonic clock, counted from when this value was made.
    pub fn moment(&self) -> MonotonicTime {
        MonotonicTime(self.since.elapsed().as_micros() as u64)
    }

    /// The upper end and the monotonic clock, read together.
    pub fn read(&self) -> ClockReading {
        let moment = self.moment();
        let high = self.shared.high.load(Ordering::SeqCst) + moment.0 as i64;
        let upper = high + self.drifted(moment) + self.paused(moment);
        ClockReading { wall: Micros(upper.max(0) as u64), moment }
    }

    fn drifted(&self, moment: MonotonicTime) -> i64 {
        if self.shared.drifts { (moment.0 / DRIFT_PART) as i64 + 1 } else { 0 }
    }

    /// How long the monotonic clock may have stood still since the last good check. The machine's
    /// wall clock leads it by that much more.
    fn paused(&self, moment: MonotonicTime) -> i64 {
        let before = self.shared.lead.load(Ordering::SeqCst);
        if before == NO_LEAD {
            return 0;
        }
        let lead = self.machine.now().0 as i64 - moment.0 as i64;
        let paused = (lead - before).max(0);
        // A step. Nothing is acknowledged by it, and the clock of ids must not keep it.
        if paused > STEP_MAX.as_micros() as i64 { 0 } else { raise(paused) }
    }

    /// The time in whole seconds.
    pub fn seconds(&self) -> u64 {
        self.now().seconds()
    }

    /// What the machine's wall clock shows at this moment, in whole seconds. Only it decides
    /// whether a token is valid, since issuers go by wall clocks. A machine whose clock was set
    /// right decides rightly at once, and one that slept does not miss the end of a token.
    pub fn machine_seconds(&self) -> u64 {
        self.machine.now().seconds()
    }

    /// How far the machine's wall clock is ahead of the monotonic one. It is a range, since the two
    /// are not read at one instant. A thread that was interrupted between the two reads them again.
    pub fn machine_lead(&self) -> Offset {
        const NARROW: i64 = 50;
        const TRIES: usize = 5;
        let look = || {
            let before = self.moment().0 as i64;
            let machine = self.machine.now().0 as i64;
            Offset { low: machine - self.moment().0 as i64, high: machine - before }
        };
        let width = |offset: &Offset| offset.high - offset.low;
        let looks = (0..TRIES).map(|_| look());
        let mut narrowest: Option<Offset> = None;
        for seen in looks {
            narrowest = narrowest.into_iter().chain([seen]).min_by_key(width);
            if width(&seen) <= NARROW {
                break;
            }
        }
        narrowest.unwrap_or_else(look)
    }

    /// Sets what is known of the reference time from here on. `lead` is how far the machine's wall
    /// clock was ahead of the monotonic one then: a change of it is a pause or a step.
    pub fn set(&self, interval: Interval, lead: Offset) {
        let Interval { low, high, at } = interval;
        let drifted = (at.0 / DRIFT_PART) as i64;
        self.shared.low.store(low + drifted, Ordering::SeqCst);
        self.shared.high.store(high - drifted, Ordering::SeqCst);
        self.shared.lead.store(lead.low, Ordering::SeqCst);
    }

    /// Whether the machine's clock stepped. A suspended machine sleeps with its monotonic clock: by
    /// that clock no time passed, and leases seem to hold that other nodes have long ended. So
    /// every publish checks this first, before any other part of the node can have noticed.
    pub fn has_stepped(&self) -> bool {
        let lead = self.shared.lead.load(Ordering::SeqCst);
        let before = Offset { low: lead, high: lead };
        lead != NO_LEAD && self.machine_lead().since(before).is_beyond(STEP_MAX)
    }

    /// Records whether the time is right, and returns the verdict before.
    pub fn assess(&self, verdict: ClockStatus) -> ClockStatus {
        let mut current = self.shared.verdict.lock();
        self.shared.known.store(verdict == ClockStatus::Known, Ordering::SeqCst);
        std::mem::replace(&mut current, verdict)
    }

    /// Whether the time is known to be right.
    pub fn is_known(&self) -> bool {
        self.shared.known.load(Ordering::SeqCst)
    }

    /// Whether the time is right.
    pub fn verdict(&self) -> ClockStatus {
        *self.shared.verdict.lock()
    }

    /// Why the time is not known to be right; none if it is.
    pub fn complaint(&self) -> Option<String> {
        self.verdict().complaint(self.moment())
    }

    /// The time, for claims that rest on it. It is zero, which claims nothing, while the time is
    /// not known to be right.
    pub fn sure(&self) -> Micros {
        if self.is_known() { self.now() } else { Micros(0) }
    }

    /// The time `ago`, for claims that something was before. As [`Self::sure`].
    pub fn sure_before(&self, ago: Duration) -> Option<Micros> {
        self.is_known().then(|| self.now() - ago)
    }

    /// Largest time at which an id that this node delivered, read or served is believed: no right
    /// node issues one above.
    pub fn most_of_an_id(&self) -> Micros {
        self.now() + IDS_AHEAD_MAX
    }

    /// Largest time at which a client's claim to have seen an id is believed.
    pub fn most_claimed(&self) -> Micros {
        Self::most_of_a_claim(self.now(), self.shared.drifts)
    }

    /// A client must not move the ids further than right clocks may differ. Nodes that share one
    /// clock do not differ.
    fn most_of_a_claim(upper: Micros, may_differ: bool) -> Micros {
        if may_differ { upper + CLAIMED_MAX } else { upper }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_reference_it_never_begins_below_its_floor() {
        let ahead = WallClock::system() + Duration::from_mins(10);
        let clock = WallClock::starting_at(ahead);
        assert!(clock.now() >= ahead && clock.is_known());
        assert!(clock.lower() >= ahead, "it is right by definition");
        let behind = WallClock::starting_at(Micros(0)).now();
        assert!(
            behind.since(WallClock::system() - Duration::from_mins(1)) >= Duration::from_secs(59)
        );
    }

    /// A clock that is known to be 500 s ahead of the machine, within 3 ms.
    fn set(machine: &MachineClock) -> WallClock {
        let clock = WallClock::to_be_set(machine.clone());
        let (lead, at) = (clock.machine_lead(), clock.moment());
        let ahead = lead.middle() + 500_000_000;
        clock.set(Interval { low: ahead - 1_000, high: ahead + 2_000, at }, lead);
        clock
    }

    #[test]
    fn it_shows_the_interval_that_it_was_set_to() {
        let clock = set(&MachineClock::default());
        let same = clock.clone();
        let (lower, upper) = (clock.lower(), same.now());
        let width = upper.since(lower);
        assert!((Duration::from_millis(3)..Duration::from_secs(2)).contains(&width), "{width:?}");
        let ahead = upper.since(WallClock::system());
        assert!((499..=501).contains(&ahead.as_secs()), "{ahead:?}");
        assert!(same.moment() <= clock.moment());
    }

    #[test]
    fn a_machine_that_was_paused_raises_the_upper_end_alone() {
        let machine = MachineClock::default();
        let clock = set(&machine);
        let (lower, upper) = (clock.lower(), clock.now());
        machine.set_ahead(300_000);
        assert!(clock.now().since(upper) >= Duration::from_millis(300));
        assert!(clock.lower().since(lower) < Duration::from_millis(300), "no pause is proved");
        assert!(!clock.has_stepped(), "it is within the bound");
        let upper = clock.now();
        machine.set_ahead(0);
        assert!(clock.now() < upper);
        machine.set_ahead(3_600_000_000);
        assert!(clock.now() < upper + STEP_MAX, "an hour is no pause");
        machine.set_ahead(-300_000);
        assert!(clock.now() >= upper - Duration::from_millis(301), "set back it lowers nothing");
    }

    #[test]
    fn a_step_is_seen_where_it_is_looked_for() {
        let machine = MachineClock::default();
        let clock = WallClock::to_be_set(machine.clone());
        machine.set_ahead(2_000_000);
        assert!(!clock.has_stepped(), "steps are not looked for");
        let clock = set(&machine);
        assert!(!clock.has_stepped());
        machine.set_ahead(4_000_000);
        assert!(clock.has_stepped());
    }

    /// Without a reference the node's own time goes by the monotonic clock.
    #[test]
    fn a_machine_that_is_set_moves_what_tokens_are_judged_by_and_nothing_else() {
        let machine = MachineClock::default();
        let clock = WallClock::new(Micros(0), machine.clone(), false);
        let (seconds, now) = (clock.machine_seconds(), clock.now());
        machine.set_ahead(7_200_000_000);
        assert!((7199..=7260).contains(&(clock.machine_seconds() - seconds)));
        assert!(clock.now().since(now) < Duration::from_mins(1));
    }

    #[test]
    fn a_time_that_is_not_known_claims_nothing() {
        let clock = WallClock::starting_at(Micros(0));
        assert!(clock.is_known() && clock.sure() > Micros(0) && clock.complaint().is_none());
        let doubt = ClockStatus::Unknown { why: ClockDoubt::Unasked, since: clock.moment() };
        assert_eq!(clock.assess(doubt), ClockStatus::Known);
        assert_eq!((clock.is_known(), clock.sure()), (false, Micros(0)));
        assert_eq!(clock.sure_before(Duration::ZERO), None);
        assert!(clock.complaint().is_some_and(|text| text.contains("not known")));
    }
}
