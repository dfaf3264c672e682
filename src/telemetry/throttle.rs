//! Log lines about what may happen thousands of times a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// From one line to the next, by default.
const PAUSE: Duration = Duration::from_secs(1);

/// Allows at most one line in a time, and counts what goes without one.
#[derive(Debug)]
pub struct LogThrottle {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    since: u64,
}

impl Default for LogThrottle {
    /// At most one line per second.
    fn default() -> Self {
        Self::every(PAUSE)
    }
}

impl LogThrottle {
    /// At most one line in each such time.
    pub fn every(pause: Duration) -> Self {
        Self { pause, state: Mutex::default() }
    }

    /// Counts one; if a line is due, how many there were since the last one.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        state.since += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.pause) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_says_how_many() {
        let (throttle, begun) = (LogThrottle::default(), Instant::now());
        let at = |millis| throttle.count_at(begun + Duration::from_millis(millis));
        assert_eq!(at(0), Some(1));
        assert_eq!((1..1000).filter_map(at).count(), 0);
        assert_eq!(at(1000), Some(1000));
        assert_eq!(at(1999), None);
        assert_eq!(at(2000), Some(2));
    }
}
