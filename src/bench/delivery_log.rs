//! What was published and what arrived, as the clients see it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Publishes, each with the number of its deliveries.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    expected: Vec<AtomicU32>,
    arrived: Vec<AtomicU32>,
    total: AtomicU64,
    /// Deliveries that have not come. Repeats do not make up for them.
    missing: AtomicU64,
    begun: Instant,
    /// The time of the last delivery, in nanoseconds since `begun`.
    last_ns: AtomicU64,
}

impl DeliveryLog {
    /// Makes a log of `publishes`, none of them made yet.
    pub(super) fn new(publishes: usize) -> Self {
        let zeros = || (0..publishes).map(|_| AtomicU32::new(0)).collect();
        Self {
            expected: zeros(),
            arrived: zeros(),
            total: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            begun: Instant::now(),
            last_ns: AtomicU64::new(0),
        }
    }

    /// Notes that a publish will be made. Called once for each, before it is sent.
    pub(super) fn expect(&self, publish: usize, deliveries: u32) {
        self.missing.fetch_add(deliveries.into(), Ordering::Relaxed);
        self.expected[publish].store(deliveries, Ordering::Relaxed);
    }

    /// Notes that a client received a publish.
    pub(super) fn arrive(&self, publish: usize) {
        if let Some(count) = self.arrived.get(publish) {
            let earlier = count.fetch_add(1, Ordering::Relaxed);
            if earlier < self.expected[publish].load(Ordering::Relaxed) {
                self.missing.fetch_sub(1, Ordering::Relaxed);
            }
            self.total.fetch_add(1, Ordering::Relaxed);
            self.last_ns.fetch_max(self.begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Deliveries so far.
    pub(super) fn deliveries(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Deliveries that did not arrive.
    pub(super) fn lost(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    /// The time of the last delivery; that of the making of the log if there was none.
    pub(super) fn last_arrival(&self) -> Instant {
        self.begun + Duration::from_nanos(self.last_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_does_not_make_up_for_a_loss() {
        let log = DeliveryLog::new(2);
        log.expect(0, 2);
        log.expect(1, 2);
        assert_eq!(log.lost(), 4);
        (0..3).for_each(|_| log.arrive(0));
        log.arrive(1);
        log.arrive(7);
        assert_eq!((log.deliveries(), log.lost()), (4, 1));
    }

    #[test]
    fn what_is_no_publish_is_no_arrival() {
        let log = DeliveryLog::new(1);
        let begun = log.last_arrival();
        log.expect(0, 2);
        log.arrive(1);
        assert_eq!(log.last_arrival(), begun);
        let before = Instant::now();
        log.arrive(0);
        let last = log.last_arrival();
        assert!(before <= last && last <= Instant::now(), "{last:?}");
    }
}
