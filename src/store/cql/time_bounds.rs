//! Bounds of the present time, for reads of everything up to now.
//!
//! A machine's wall clock may be hours wrong while its node's time is right: the clock may have
//! been set since. The coordinators' clocks are read every 2 s anyway, and go on by the monotonic
//! clock in between; one of them may be wrong too. So no exact present is known here, only an
//! earliest and a latest.

use std::time::Instant;

use parking_lot::Mutex;

use crate::clock::WallClock;
use crate::domain::Micros;
use crate::store::IDEMPOTENCY_KEPT;

/// The present, between two bounds.
#[derive(Debug, Default)]
pub(super) struct TimeBounds {
    /// The latest time that any coordinator reported, and when.
    told: Mutex<Option<(Instant, Micros)>>,
}

impl TimeBounds {
    /// Records the time that a coordinator reported.
    pub(super) fn note(&self, time: Micros) {
        let now = Instant::now();
        let mut told = self.told.lock();
        let known = told.map(|told| carried(told, now));
        *told = Some((now, known.map_or(time, |known| known.max(time))));
    }

    /// An upper bound of the machine's and the coordinators' clocks.
    pub(super) fn latest(&self) -> Micros {
        let machine = WallClock::system();
        self.told().map_or(machine, |told| told.max(machine))
    }

    /// The earlier of the machine's clock and what the coordinators reported.
    fn earliest(&self) -> Micros {
        let machine = WallClock::system();
        self.told().map_or(machine, |told| told.min(machine))
    }

    /// The smallest time of an id whose nonce is still remembered.
    pub(super) fn oldest_nonce(&self) -> Micros {
        self.earliest() - IDEMPOTENCY_KEPT
    }

    fn told(&self) -> Option<Micros> {
        self.told.lock().map(|told| carried(told, Instant::now()))
    }
}

/// The present time of a clock that showed `time` before.
fn carried((at, time): (Instant, Micros), now: Instant) -> Micros {
    time + now.saturating_duration_since(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn whoever_is_wrong_the_present_lies_between() {
        let present = TimeBounds::default();
        let truth = WallClock::system();
        let bounds = || (present.earliest(), present.latest());
        let (earliest, latest) = bounds();
        assert!(earliest >= truth && latest < truth + DAY, "the machine alone");
        // The machine was set back, or a coordinator is ahead.
        present.note(truth + DAY);
        let (earliest, latest) = bounds();
        assert!(earliest < truth + DAY && latest >= truth + DAY);
        // A coordinator that reports less does not take that back.
        present.note(truth);
        assert!(present.latest() >= truth + DAY);
    }

    #[test]
    fn the_machine_that_was_set_ahead_has_an_earliest_that_is_right() {
        let present = TimeBounds::default();
        let truth = WallClock::system() - DAY;
        present.note(truth);
        assert!(present.earliest() < truth + DAY && present.latest() >= truth + DAY);
    }

    #[test]
    fn what_was_said_goes_on() {
        let (at, time) = (Instant::now(), Micros(5));
        assert_eq!(carried((at, time), at + Duration::from_micros(7)), Micros(12));
        assert_eq!(carried((at, time), at), Micros(5));
    }
}
