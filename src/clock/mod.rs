//! What time it is on this node: the one place that looks at a clock for ids and proofs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::{Micros, Moment, Now};

/// A clock that never runs back: the larger of the wall clock and a floor when it was made, then
/// driven by the monotonic clock. A step of the wall clock does not move it.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    base: Micros,
    since: Instant,
}

impl WallClock {
    /// Starts no earlier than `floor`.
    pub fn starting_at(floor: Micros) -> Self {
        Self { base: Self::system().max(floor), since: Instant::now() }
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
        Now { wall: Micros(self.base.0 + moment.0), moment }
    }

    /// The time in whole seconds, as tokens count it.
    pub fn seconds(&self) -> u64 {
        self.now().seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn never_begins_below_its_floor() {
        let ahead = WallClock::system() + Duration::from_mins(10);
        assert!(WallClock::starting_at(ahead).now() >= ahead);
        let behind = WallClock::starting_at(Micros(0)).now();
        assert!(
            behind.since(WallClock::system() - Duration::from_mins(1)) >= Duration::from_secs(59)
        );
    }
}
