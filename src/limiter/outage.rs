//! What the log says while the shards do not count the sends of users.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::LimiterError;
use crate::clock::Readable;

/// Without a failure for so long, the outage is over. Between two outages there is at least this.
const QUIET: Duration = Duration::from_secs(5);

/// The time in which calls of a node's limiter failed, for all of its workers.
#[derive(Debug, Default)]
pub struct LimiterOutage {
    /// Whether there are failures: every answered call looks at this alone while there are none.
    is_failing: AtomicBool,
    failures: Mutex<Option<FailureSpan>>,
}

#[derive(Debug, Clone, Copy)]
struct FailureSpan {
    first: Instant,
    last: Instant,
}

impl LimiterOutage {
    /// Logs the first failure of an outage.
    pub(super) fn failed(&self, error: &LimiterError) {
        if self.failed_at(Instant::now()) {
            tracing::warn!(
                "user limits are not shared between nodes ({error}): this node holds its users to \
                 its share of each limit"
            );
        }
    }

    /// Logs the end of an outage.
    pub(super) fn answered(&self) {
        if let Some(outage) = self.answered_at(Instant::now()) {
            tracing::info!("user limits are shared between nodes again after {}", Readable(outage));
        }
    }

    /// Returns whether an outage begins.
    fn failed_at(&self, now: Instant) -> bool {
        let mut failures = self.failures.lock();
        let first = failures.map(|known| known.first);
        *failures = Some(FailureSpan { first: first.unwrap_or(now), last: now });
        self.is_failing.store(true, Ordering::Relaxed);
        first.is_none()
    }

    /// Returns how long an outage was that is over now.
    fn answered_at(&self, now: Instant) -> Option<Duration> {
        // It is written under the lock. An answer that comes too early to see it is followed by others.
        if !self.is_failing.load(Ordering::Relaxed) {
            return None;
        }
        let mut failures = self.failures.lock();
        let over = failures.filter(|known| now.saturating_duration_since(known.last) >= QUIET)?;
        *failures = None;
        self.is_failing.store(false, Ordering::Relaxed);
        Some(now.saturating_duration_since(over.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_has_one_beginning_and_one_end() {
        let (outage, begun) = (LimiterOutage::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(outage.answered_at(at(0)), None);
        assert!(outage.failed_at(at(1)));
        assert_eq!(outage.answered_at(at(2)), None, "others still fail");
        assert!(!outage.failed_at(at(30)));
        assert_eq!(outage.answered_at(at(34)), None);
        assert_eq!(outage.answered_at(at(35)), Some(Duration::from_secs(34)));
        assert_eq!(outage.answered_at(at(40)), None);
        assert!(outage.failed_at(at(41)));
    }

    #[test]
    fn in_the_calm_no_answer_waits_for_another() {
        let outage = std::sync::Arc::new(LimiterOutage::default());
        let (told, heard) = std::sync::mpsc::sync_channel(1);
        let _held = outage.failures.lock();
        let asked = std::sync::Arc::clone(&outage);
        std::thread::spawn(move || told.send(asked.answered_at(Instant::now())));
        assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok(None));
    }
}
