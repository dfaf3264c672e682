//! What time it is on this node: the one place that looks at a clock for ids and proofs.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`WallClock`], the node's time |
//! | `reference` | whether that time is right: samples of a clock that all nodes share |
//! | `verdict` | what follows, in words |

mod reference;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::domain::{Micros, Moment, Now};

pub use reference::{
    AGREEING, CHECK_AGAIN, CHECK_EVERY, Concluded, OFF_MAX, ROUND_TRIP_MAX, Reference, SAMPLES,
    STEP_MAX, Sample, VALID_FOR,
};
pub use verdict::{Doubt, Offset, Verdict};

/// The node's time: the larger of the machine's wall clock and a floor when it was made, then driven
/// by the monotonic clock. A step of the machine's clock does not move it; only
/// [`Self::follow_machine`] does. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct WallClock {
    shared: Arc<Shared>,
    since: Instant,
}

#[derive(Debug)]
struct Shared {
    base: AtomicU64,
    /// Whether the verdict is [`Verdict::Known`]: looked at with every send.
    known: AtomicBool,
    verdict: Mutex<Verdict>,
    /// How far the machine's clock was ahead of this one when this one was last seen to be right, in
    /// microseconds; or [`NO_LEAD`].
    lead: AtomicI64,
}

/// Nobody looks for steps of the machine's clock.
const NO_LEAD: i64 = i64::MIN;

impl WallClock {
    /// Starts no earlier than `floor`. Its time is taken for right until somebody says otherwise.
    pub fn starting_at(floor: Micros) -> Self {
        let base = AtomicU64::new(Self::system().max(floor).0);
        let (known, verdict) = (AtomicBool::new(true), Mutex::new(Verdict::Known));
        let lead = AtomicI64::new(NO_LEAD);
        Self { shared: Arc::new(Shared { base, known, verdict, lead }), since: Instant::now() }
    }

    /// The wall clock of the machine.
    pub fn system() -> Micros {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros(time.as_micros() as u64)
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.read().wall
    }

    /// The monotonic clock, counted from when this was made.
    pub fn moment(&self) -> Moment {
        Moment(self.since.elapsed().as_micros() as u64)
    }

    /// Both clocks, read together.
    pub fn read(&self) -> Now {
        let moment = self.moment();
        Now { wall: Micros(self.shared.base.load(Ordering::SeqCst) + moment.0), moment }
    }

    /// The time in whole seconds, as tokens count it.
    pub fn seconds(&self) -> u64 {
        self.now().seconds()
    }

    /// How far the machine's wall clock is ahead of the node's time. It lies in a range, since the
    /// two are not read at one instant.
    pub fn machine_lead(&self) -> Offset {
        let before = self.now();
        let machine = Self::system();
        Offset::between(machine, machine, before, self.now())
    }

    /// From here on a step is a change of the machine's lead against this one.
    pub fn watch_for_steps(&self, lead: Offset) {
        self.shared.lead.store(lead.middle(), Ordering::SeqCst);
    }

    /// Whether the machine's clock stepped. A machine that was suspended slept with its monotonic
    /// clock, so by that no time passed, and every lease holds that others have long given up:
    /// whoever is about to publish something asks here, before anybody else can have noticed.
    pub fn has_stepped(&self) -> bool {
        let lead = self.shared.lead.load(Ordering::SeqCst);
        let before = Offset { low: lead, high: lead };
        lead != NO_LEAD && self.machine_lead().since(before).is_beyond(STEP_MAX)
    }

    /// Sets the time to the machine's wall clock, which may be back. Only while the time is not
    /// taken for right: nobody may have begun anything by it that is to be concluded by what
    /// follows.
    pub fn follow_machine(&self) {
        let base = Self::system().0.saturating_sub(self.moment().0);
        self.shared.base.store(base, Ordering::SeqCst);
    }

    /// Notes whether the time is right: what it was taken for before.
    pub fn judge(&self, verdict: Verdict) -> Verdict {
        let mut current = self.shared.verdict.lock();
        self.shared.known.store(verdict == Verdict::Known, Ordering::SeqCst);
        std::mem::replace(&mut current, verdict)
    }

    /// Whether the time is known to be right.
    pub fn is_known(&self) -> bool {
        self.shared.known.load(Ordering::SeqCst)
    }

    /// Whether the time is right.
    pub fn verdict(&self) -> Verdict {
        *self.shared.verdict.lock()
    }

    /// What speaks against the time; none if it is known to be right.
    pub fn complaint(&self) -> Option<String> {
        self.verdict().complaint(self.moment())
    }

    /// The time, for whoever claims something by it; zero, by which nothing is claimed, while it is
    /// not known to be right.
    pub fn sure(&self) -> Micros {
        if self.is_known() { self.now() } else { Micros(0) }
    }

    /// The time `ago`, for whoever claims that something was before; as [`Self::sure`].
    pub fn sure_before(&self, ago: Duration) -> Option<Micros> {
        self.is_known().then(|| self.now() - ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_begins_below_its_floor() {
        let ahead = WallClock::system() + Duration::from_mins(10);
        assert!(WallClock::starting_at(ahead).now() >= ahead);
        let behind = WallClock::starting_at(Micros(0)).now();
        assert!(
            behind.since(WallClock::system() - Duration::from_mins(1)) >= Duration::from_secs(59)
        );
    }

    #[test]
    fn it_follows_the_machine_when_it_is_told_to() {
        let clock = WallClock::starting_at(WallClock::system() + Duration::from_mins(10));
        let same = clock.clone();
        let lead = clock.machine_lead();
        assert!(lead.is_beyond(Duration::from_secs(500)), "{lead:?}");
        clock.follow_machine();
        assert!(same.machine_lead().is_within(Duration::from_mins(1)), "one clock");
        assert!(same.moment() <= clock.moment());
    }

    #[test]
    fn a_step_is_seen_where_it_is_looked_for() {
        let clock = WallClock::starting_at(WallClock::system() + Duration::from_mins(10));
        assert!(!clock.has_stepped(), "nobody looks for steps");
        clock.watch_for_steps(Offset { low: 0, high: 0 });
        assert!(clock.has_stepped());
        clock.watch_for_steps(clock.machine_lead());
        assert!(!clock.has_stepped());
    }

    #[test]
    fn a_time_that_is_not_known_claims_nothing() {
        let clock = WallClock::starting_at(Micros(0));
        assert!(clock.is_known() && clock.sure() > Micros(0) && clock.complaint().is_none());
        let doubt = Verdict::Unknown { why: Doubt::Unasked, since: clock.moment() };
        assert_eq!(clock.judge(doubt), Verdict::Known);
        assert_eq!((clock.is_known(), clock.sure()), (false, Micros(0)));
        assert_eq!(clock.sure_before(Duration::ZERO), None);
        assert!(clock.complaint().is_some_and(|text| text.contains("not known")));
    }
}
