//! The monotonic clock, and both clocks read together.

use std::ops::Add;
use std::time::Duration;

use super::Micros;

/// Microseconds of a monotonic clock since some moment of its process. It has no meaning in another
/// process, and does not survive this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonotonicTime(pub u64);

impl MonotonicTime {
    /// How far this lies after `earlier`; zero if it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for MonotonicTime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_micros() as u64))
    }
}

/// Both clocks of a node, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// Time that ids are made of: it may be wrong, and may step.
    pub wall: Micros,
    /// Time that durations are measured by.
    pub moment: MonotonicTime,
}
