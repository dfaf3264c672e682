//! What was published and what arrived, as the clients see it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Publishes, each with the number of its deliveries.
#[derive(Debug, Default)]
pub(super) struct DeliveryLog {
    expected: Vec<AtomicU32>,
    arrived: Vec<AtomicU32>,
    total: AtomicU64,
}

impl DeliveryLog {
    /// Makes a ledger of `publishes`, none of them made yet.
    pub(super) fn new(publishes: usize) -> Self {
        let zeros = || (0..publishes).map(|_| AtomicU32::new(0)).collect();
        Self { expected: zeros(), arrived: zeros(), total: AtomicU64::new(0) }
    }

    /// Notes that a publish is being made.
    pub(super) fn expect(&self, publish: usize, deliveries: u32) {
        self.expected[publish].store(deliveries, Ordering::Relaxed);
    }

    /// Notes that a client received a publish.
    pub(super) fn arrive(&self, publish: usize) {
        if let Some(count) = self.arrived.get(publish) {
            count.fetch_add(1, Ordering::Relaxed);
            self.total.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Deliveries so far.
    pub(super) fn deliveries(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Deliveries that did not arrive.
    pub(super) fn lost(&self) -> u64 {
        let pairs = self.expected.iter().zip(&self.arrived);
        let counts =
            pairs.map(|(due, got)| (due.load(Ordering::Relaxed), got.load(Ordering::Relaxed)));
        counts.map(|(due, got)| u64::from(due.saturating_sub(got))).sum()
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
        (0..3).for_each(|_| log.arrive(0));
        log.arrive(1);
        log.arrive(7);
        assert_eq!((log.deliveries(), log.lost()), (4, 1));
    }
}
