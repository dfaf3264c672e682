//! How long canaries take: what a publish of this node takes to come back.

use std::sync::Arc;

use crate::domain::MonotonicTime;
use crate::telemetry::{Metrics, ShardTraffic};

/// The last canary, whose echoes are timed.
#[derive(Debug)]
pub(super) struct CanaryEchoes {
    traffic: Vec<ShardTraffic>,
    last: Option<(u64, MonotonicTime)>,
}

impl CanaryEchoes {
    /// Counts by the shards' names.
    pub(super) fn new(shards: &[String], metrics: &Arc<Metrics>) -> Self {
        let traffic = shards.iter().map(|name| metrics.shards.traffic(name)).collect();
        Self { traffic, last: None }
    }

    /// Notes that a canary is sent through every shard.
    pub(super) fn sent(&mut self, number: u64, now: MonotonicTime) {
        self.last = Some((number, now));
    }

    /// Notes an echo. That of an earlier canary is too late to be timed.
    pub(super) fn back(&self, shard: usize, number: u64, now: MonotonicTime) {
        if let Some((last, sent)) = self.last
            && last == number
            && let Some(traffic) = self.traffic.get(shard)
        {
            traffic.echo.observe(now.since(sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_of_the_last_canary_is_timed() {
        let metrics = Arc::new(Metrics::new());
        let mut echoes = CanaryEchoes::new(&["r1".into(), "r2".into()], &metrics);
        echoes.back(0, 1, MonotonicTime(5));
        echoes.sent(1, MonotonicTime(10));
        echoes.sent(2, MonotonicTime(20));
        echoes.back(0, 1, MonotonicTime(25));
        echoes.back(1, 2, MonotonicTime(25));
        echoes.back(7, 2, MonotonicTime(25));
        let count = |shard| metrics.shards.traffic(shard).echo.count();
        assert_eq!((count("r1"), count("r2")), (0, 1));
    }
}
