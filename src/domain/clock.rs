//! The hybrid logical clock that ids come from.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// The time in whole milliseconds, as clients see it.
    pub const fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// The time in whole seconds, as tokens count it.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How far this lies after `earlier`; zero if it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Micros {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_micros() as u64))
    }
}

impl Sub<Duration> for Micros {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time.as_micros() as u64))
    }
}

impl From<u64> for Micros {
    fn from(micros: u64) -> Self {
        Self(micros)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What the clock did with a time that it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// Later ids will be above it.
    Adopted,
    /// Too far ahead to be believed: it is not followed.
    Refused,
}

/// A hybrid logical clock in whole microseconds. Each time that it issues is strictly above the
/// wall clock it was given, everything it issued and everything it adopted. A node has one, which
/// its workers share.
#[derive(Debug, Default)]
pub struct HybridClock {
    last: AtomicU64,
}

impl HybridClock {
    /// Returns a clock that issues only times above `floor`.
    pub const fn starting_at(floor: Micros) -> Self {
        Self { last: AtomicU64::new(floor.0) }
    }

    /// Issues a fresh time for an id.
    pub fn issue(&self, wall: Micros) -> Micros {
        let next = |last: u64| last.max(wall.0) + 1;
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |l| Some(next(l)));
        Micros(next(last.expect("the update never refuses")))
    }

    /// The clock's own time: everything issued so far is at or below it, everything issued later is
    /// above.
    pub fn read(&self, wall: Micros) -> Micros {
        self.last.fetch_max(wall.0, Ordering::AcqRel).max(wall.0).into()
    }

    /// Shows the clock the time of an id that this node delivered, served or received. It is
    /// adopted if it is at most `believed`.
    pub fn observe(&self, seen: Micros, believed: Micros) -> Observed {
        if seen > believed {
            return Observed::Refused;
        }
        self.last.fetch_max(seen.0, Ordering::AcqRel);
        Observed::Adopted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_above_what_is_believed_is_not_followed() {
        let clock = HybridClock::default();
        let (wall, believed) = (Micros(1_000_000), Micros(3_000_000));
        assert_eq!(clock.observe(believed, believed), Observed::Adopted);
        assert_eq!(clock.observe(Micros(believed.0 + 1), believed), Observed::Refused);
        assert_eq!(clock.issue(wall), Micros(believed.0 + 1));
    }

    #[test]
    fn a_reading_parts_what_was_issued_from_what_will_be() {
        let clock = HybridClock::default();
        let before = clock.issue(Micros(50));
        let reading = clock.read(Micros(40));
        assert!(before <= reading && clock.issue(Micros(40)) > reading);
        assert_eq!(clock.read(Micros(90)), Micros(90));
        assert!(clock.issue(Micros(40)) > Micros(90));
    }

    #[test]
    fn workers_never_share_a_time() {
        let clock = HybridClock::default();
        let issue = || (0..10_000).map(|_| clock.issue(Micros(5))).collect::<Vec<_>>();
        let mut all = std::thread::scope(|scope| {
            let other = scope.spawn(issue);
            let mut all = issue();
            all.extend(other.join().unwrap());
            all
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20_000);
    }

    proptest! {
        #[test]
        fn issues_above_the_wall_the_last_and_the_seen(
            steps in prop::collection::vec((0..40_000_000u64, any::<bool>(), 0..20_000_000u64), 1..50),
        ) {
            let clock = HybridClock::default();
            let mut floor = Micros(0);
            for (wall, observe, ahead) in steps {
                let wall = Micros(wall);
                if observe {
                    let seen = Micros(wall.0 + ahead);
                    let believed = Micros(wall.0 + 11_000_000);
                    if clock.observe(seen, believed) == Observed::Adopted { floor = floor.max(seen); }
                } else {
                    let issued = clock.issue(wall);
                    prop_assert!(issued > floor && issued > wall);
                    floor = issued;
                }
            }
        }
    }
}
