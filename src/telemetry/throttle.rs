//! Log lines about what may happen thousands of times a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// From one line to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Allows a line a second at most, and counts what goes without one.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    since: u64,
}

impl LogThrottle {
    /// Counts one; if a line is due, how many there were since the last one.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.since += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
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
