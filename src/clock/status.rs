//! Whether the node's time is right, and the message for when it is not.

use std::fmt;
use std::time::Duration;

use super::UNCERTAINTY_MAX;
use crate::domain::{Micros, MonotonicTime};

/// How far one clock is ahead of another, in microseconds; below zero it is behind. The two were
/// not read at one instant, so only a range is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Lower end of the range.
    pub low: i64,
    /// Upper end of the range.
    pub high: i64,
}

impl Offset {
    /// Offset of a clock that showed something in `low..=high` while the other showed something in
    /// `from..=to`.
    pub const fn between(low: Micros, high: Micros, from: Micros, to: Micros) -> Self {
        Self { low: difference(low, to), high: difference(high, from) }
    }

    /// The middle of the range.
    pub const fn middle(self) -> i64 {
        self.low + (self.high - self.low) / 2
    }

    /// Whether it is certainly at most `bound`, either way.
    pub const fn is_within(self, bound: Duration) -> bool {
        let bound = bound.as_micros() as i64;
        self.low >= -bound && self.high <= bound
    }

    /// Whether it is certainly more than `bound`, either way.
    pub const fn is_beyond(self, bound: Duration) -> bool {
        let bound = bound.as_micros() as i64;
        self.low > bound || self.high < -bound
    }

    /// Offset of a first clock over a third: this is the first one's over a second, and `next` is
    /// the second's over the third.
    #[must_use]
    pub const fn plus(self, next: Self) -> Self {
        Self { low: self.low.saturating_add(next.low), high: self.high.saturating_add(next.high) }
    }

    /// The range of the change since an earlier read.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            low: self.low.saturating_sub(earlier.high),
            high: self.high.saturating_sub(earlier.low),
        }
    }
}

const fn difference(one: Micros, other: Micros) -> i64 {
    one.0 as i64 - other.0 as i64
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = self.middle();
        let side = if middle < 0 { "behind" } else { "ahead of" };
        let half = (self.high - self.low) / 2;
        write!(
            f,
            "{} ms {side} the store's (± {} ms)",
            middle.abs() / 1000,
            half.div_euclid(1000) + 1
        )
    }
}

/// Why it is not known whether the time is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockDoubt {
    /// No coordinator could be asked yet.
    Unasked,
    /// For too long, too few answers came in time and agreed.
    Unanswered,
    /// The machine's wall clock stepped.
    Stepped,
    /// The answers contradict what was known before: the reference jumped, or the machine's
    /// monotonic clock is wrong.
    Contradicted,
    /// The time is known, but not closely enough.
    Unsure,
}

impl fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unasked => "the store has not answered a question for its time yet",
            Self::Unanswered => "too few answers about the store's time came in time and agreed",
            Self::Stepped => "the machine's wall clock stepped",
            Self::Contradicted => "the store's time does not fit what was known of it before",
            Self::Unsure => {
                "the store's answers about its time leave more than 2500 ms of \
                uncertainty"
            }
        })
    }
}

/// Whether the node's time is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStatus {
    /// The time is right.
    Known,
    /// It is not, or not for certain.
    Off(Offset),
    /// It is not known whether the time is right.
    Unknown {
        /// Why.
        why: ClockDoubt,
        /// Since when.
        since: MonotonicTime,
    },
}

impl ClockStatus {
    /// Why the time is not known to be right; none if it is.
    pub fn complaint(self, now: MonotonicTime) -> Option<String> {
        match self {
            Self::Known => None,
            Self::Off(by) => Some(format!(
                "this node's clock is {by}, at most {} ms are allowed: set the machine's clock",
                UNCERTAINTY_MAX.as_millis(),
            )),
            Self::Unknown { why, since } => Some(format!(
                "this node's clock is not known to be right for {} s: {why}",
                now.since(since).as_secs(),
            )),
        }
    }

    /// Whether two verdicts are of one kind: being off by a little more is no news.
    pub fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Known, Self::Known) | (Self::Off(_), Self::Off(_)) => true,
            (Self::Unknown { why, .. }, Self::Unknown { why: other, .. }) => why == other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_says_which_way() {
        let [early, late] = [Micros(1_000_000), Micros(4_000_000)];
        let ahead = Offset::between(late, late, early, early + Duration::from_millis(10));
        assert_eq!((ahead.low, ahead.high), (2_990_000, 3_000_000));
        assert_eq!(ahead.to_string(), "2995 ms ahead of the store's (± 6 ms)");
        let behind = Offset::between(early, early, late, late);
        assert_eq!(behind.to_string(), "3000 ms behind the store's (± 1 ms)");
        assert!(
            behind.is_beyond(Duration::from_millis(2999))
                && ahead.is_within(Duration::from_secs(3))
        );
        assert_eq!(ahead.plus(behind), Offset { low: -10_000, high: 0 });
    }

    #[test]
    fn what_is_right_has_no_complaint() {
        let at = MonotonicTime(90_000_000);
        assert_eq!(ClockStatus::Known.complaint(at), None);
        let since = MonotonicTime(1_000_000);
        let text = ClockStatus::Unknown { why: ClockDoubt::Stepped, since }.complaint(at).unwrap();
        assert!(text.contains("for 89 s") && text.contains("stepped"), "{text}");
        let off = ClockStatus::Off(Offset { low: 3_000_000, high: 3_000_000 });
        let text = off.complaint(at).unwrap();
        assert!(text.contains("3000 ms ahead") && text.contains("2500 ms are allowed"), "{text}");
        assert!(
            off.is_like(ClockStatus::Off(Offset { low: 0, high: 9 }))
                && !off.is_like(ClockStatus::Known)
        );
    }
}
