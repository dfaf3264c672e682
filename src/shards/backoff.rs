//! Waits between attempts: doubling, jittered, without end.

use std::time::Duration;

/// How long to wait before the next attempt.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { next: min, min, max }
    }

    /// Returns the next wait, between half of it and all of it, so that many clients do not come
    /// back at once.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    /// Resets the wait after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = self.min;
    }

    /// Resets the wait if the connection served for long enough. A connection that ends at once is
    /// no success: the server may refuse what it is asked.
    pub(crate) fn served(&mut self, time: Duration) {
        if time >= self.max {
            self.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound() {
        let (min, max) = (Duration::from_millis(50), Duration::from_millis(300));
        let mut backoff = Backoff::new(min, max);
        for expected in [50, 100, 200, 300, 300].map(Duration::from_millis) {
            let wait = backoff.wait();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?} for {expected:?}");
        }
        backoff.served(max / 2);
        assert!(backoff.wait() >= max / 2, "it ended at once");
        backoff.served(max);
        assert!(backoff.wait() <= min);
    }
}
