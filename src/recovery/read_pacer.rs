//! Spreads reads of the store over time.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How much unused time may be saved up: the timers of the event loop are no finer than a
/// millisecond.
const BURST: Duration = Duration::from_millis(50);

/// Decides when reads may begin, at a fixed rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// At most `per_second` reads per second in the long run.
    pub(super) fn new(per_second: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / per_second), next: Instant::now() }
    }

    /// Returns when the next read may begin.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Charges a read, and returns when it may begin.
    pub(super) fn charge(&mut self, now: Instant) -> Instant {
        let at = self.next.max(now.checked_sub(BURST).unwrap_or(now));
        self.next = at + self.interval;
        at
    }

    /// Takes back the charge of a read that is not made.
    pub(super) fn refund(&mut self) {
        self.next = self.next.checked_sub(self.interval).unwrap_or(self.next);
    }
}

/// Starts reads at a fixed rate, in the order of the calls. It serves rounds and audits, which have
/// at most 16 readers: the turn of a reader that gives up is lost.
#[derive(Debug)]
pub struct Pacer(Cell<Pace>);

impl Pacer {
    /// At most `per_second` reads per second in the long run.
    pub fn new(per_second: f64) -> Self {
        Self(Cell::new(Pace::new(per_second)))
    }

    /// Waits for the turn of one read.
    pub async fn turn(&self) {
        let (now, mut pace) = (Instant::now(), self.0.get());
        let at = pace.charge(now);
        self.0.set(pace);
        if at > now {
            tokio::time::sleep_until(at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_the_rate_in_the_long_run() {
        let pacer = Pacer::new(100.0);
        let begun = Instant::now();
        for _ in 0..=200 {
            pacer.turn().await;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        assert!((1.99..=2.01).contains(&elapsed), "200 intervals took {elapsed} s");
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begun = Instant::now();
        for _ in 0..100 {
            pacer.turn().await;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        assert!((0.9..1.0).contains(&elapsed), "little unused time is saved up, not {elapsed} s");
    }
}
