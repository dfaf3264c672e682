//! Spreads reads of the store over time.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Reads that may have been saved up: the timers of the event loop are no finer than a millisecond.
const BURST: Duration = Duration::from_millis(50);

/// Lets so many reads a second begin.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Cell<Instant>,
}

impl Pacer {
    /// At most `per_second` in the long run.
    pub fn new(per_second: f64) -> Self {
        let interval = Duration::from_secs_f64(1.0 / per_second);
        Self { interval, next: Cell::new(Instant::now()) }
    }

    /// Waits for the turn of one read.
    pub async fn turn(&self) {
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let at = self.next.get().max(earliest);
        self.next.set(at + self.interval);
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
        assert!((0.9..1.0).contains(&elapsed), "an idle time saves up little, not {elapsed} s");
    }
}
