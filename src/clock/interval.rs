//! An interval that contains the reference time.

use std::time::Duration;

use crate::domain::{Micros, MonotonicTime};

/// A node's monotonic clock and the reference clock drift by at most one part in this many.
///
/// Crystals are wrong by up to 200 millionths, and time daemons slew a clock by up to 500
/// millionths (`adjtimex(2)`), each on either side: 1,400 millionths in all.
pub const DRIFT_PART: u64 = 500;

/// How far the reference time is ahead of the monotonic clock, as a range. It contains the truth at
/// `at`, and grows by the drift bound from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Lower end, in microseconds.
    pub low: i64,
    /// Upper end, in microseconds.
    pub high: i64,
    /// When the range held.
    pub at: MonotonicTime,
}

impl Interval {
    /// Interval of a clock that was asked at `before` and had answered by `after` with a time in
    /// `from..=to`.
    pub fn of_answer(
        before: MonotonicTime,
        after: MonotonicTime,
        (from, to): (Micros, Micros),
    ) -> Self {
        let drift = drift(after.since(before));
        let low = difference(from, after) - drift;
        Self { low, high: difference(to, before) + drift, at: after }
    }

    /// Returns the interval as it is at a later moment: wider by the drift. An earlier moment
    /// changes nothing.
    #[must_use]
    pub fn aged(self, to: MonotonicTime) -> Self {
        let drift = drift(to.since(self.at));
        Self { low: self.low - drift, high: self.high + drift, at: self.at.max(to) }
    }

    /// Returns what both intervals allow, at the later moment of the two; none if they contradict
    /// each other.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let at = self.at.max(other.at);
        let (one, other) = (self.aged(at), other.aged(at));
        let (low, high) = (one.low.max(other.low), one.high.min(other.high));
        (low <= high).then_some(Self { low, high, at })
    }

    /// Returns the smallest interval that contains both, at the later moment of the two.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        let at = self.at.max(other.at);
        let (one, other) = (self.aged(at), other.aged(at));
        Self { low: one.low.min(other.low), high: one.high.max(other.high), at }
    }

    /// Returns the interval with its upper end raised by `by` microseconds, if that is above zero:
    /// the monotonic clock may have stood still for so long.
    #[must_use]
    pub fn raised(self, by: i64) -> Self {
        Self { high: self.high + raise(by), ..self }
    }

    /// Upper end minus lower end.
    pub const fn width(self) -> Duration {
        Duration::from_micros(self.high.saturating_sub(self.low).unsigned_abs())
    }

    /// The middle.
    pub const fn middle(self) -> i64 {
        self.low + (self.high - self.low) / 2
    }
}

/// How far two clocks may drift apart in a time, in microseconds, rounded up.
pub fn drift(time: Duration) -> i64 {
    (time.as_micros() as u64).div_ceil(DRIFT_PART) as i64
}

/// How far the reference time may have advanced while the monotonic clock stood still. `paused` is
/// that pause in microseconds of the machine's wall clock.
pub const fn raise(paused: i64) -> i64 {
    if paused <= 0 { 0 } else { paused + (paused as u64).div_ceil(DRIFT_PART) as i64 }
}

const fn difference(reference: Micros, monotonic: MonotonicTime) -> i64 {
    reference.0 as i64 - monotonic.0 as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval(low: i64, high: i64, at: u64) -> Interval {
        Interval { low, high, at: MonotonicTime(at) }
    }

    #[test]
    fn an_interval_grows_by_the_drift_on_either_side() {
        let one = interval(-10, 10, 1_000_000);
        assert_eq!(one.aged(MonotonicTime(1_500_000)), interval(-1010, 1010, 1_500_000));
        assert_eq!(one.aged(MonotonicTime(0)), one);
        assert_eq!(one.raised(500), interval(-10, 511, 1_000_000));
        assert_eq!(one.raised(-5), one);
    }

    #[test]
    fn what_contradicts_each_other_has_nothing_in_common() {
        let (one, other) = (interval(0, 10, 0), interval(10, 30, 0));
        assert_eq!(one.intersect(other), Some(interval(10, 10, 0)));
        assert_eq!(one.hull(other), interval(0, 30, 0));
        assert_eq!(one.intersect(interval(11, 30, 0)), None);
        assert!(one.intersect(interval(11, 30, 1000)).is_some(), "it may have drifted");
    }

    proptest! {
        /// A reference that runs fast or slow by the bound stays inside, under every operation on
        /// the intervals that hold it.
        #[test]
        fn the_truth_stays_inside(
            rate in -2_000_i64..=2_000,
            asks in prop::collection::vec((0..5_000_000_u64, 0..900_000_u64, 0..900_000_u64), 1..20),
        ) {
            let truth = |at: u64| at as i64 * rate / 1_000_000 + 77;
            let mut known: Option<Interval> = None;
            let mut now = 0;
            for (pause, there, back) in asks {
                now += pause;
                let shown = now + there;
                let answer = Micros((shown as i64 + truth(shown)).unsigned_abs());
                let (before, after) = (MonotonicTime(now), MonotonicTime(shown + back));
                let fresh = Interval::of_answer(before, after, (answer, answer + Duration::from_micros(1)));
                let both = known.map_or(Some(fresh), |known| known.intersect(fresh));
                prop_assert!(both.is_some(), "{known:?} {fresh:?}");
                known = both;
                now = after.0;
                let held = both.unwrap();
                prop_assert!(held.low <= truth(now) + 1 && truth(now) - 1 <= held.high, "{held:?}");
            }
        }
    }
}
