//! Latencies of a measurement, each from the time at which its request was intended.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in µs: an hour. A longer one counts as that.
const LONGEST_US: u64 = 3_600_000_000;

/// Decimal digits that a latency keeps: an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// Latencies in a fixed 200 KB, however many there are.
#[derive(Debug, Clone)]
pub(super) struct LatencyRecorder(Histogram<u64>);

/// Percentiles in µs, by the names of the reports of `scripts/k6`; 0 if nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LatencyPercentiles {
    /// The median.
    pub p50_us: u64,
    /// The 90th percentile.
    pub p90_us: u64,
    /// The 99th.
    pub p99_us: u64,
    /// The 99.9th.
    pub p999_us: u64,
    /// The 99.99th.
    pub p9999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl LatencyRecorder {
    /// Makes an empty one.
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST_US, DIGITS).expect("the bounds are constant"))
    }

    /// Records one latency.
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.min(LONGEST_US));
    }

    /// How many were recorded.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.0.reset();
    }

    /// The latency in µs that a share of all do not exceed.
    pub(super) fn quantile_us(&self, share: f64) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.value_at_quantile(share).min(self.0.max()) }
    }

    /// The latency in µs by percentile, up to the last one that a single latency can show.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        const MOST: f64 = 99.999;
        let last = (100.0 * (1.0 - 1.0 / self.0.len().max(1) as f64)).min(MOST);
        // Each step takes away as much of what is left to 100: the axis gives them the same width.
        let steps = (0..=100).map(|step| 100.0 - 100.0 * 10_f64.powf(-f64::from(step) / 20.0));
        let shown = steps.filter(|percentile| *percentile <= last);
        shown.map(|percentile| (percentile, self.quantile_us(percentile / 100.0) as f64)).collect()
    }

    /// The percentiles of a report.
    pub(super) fn percentiles(&self) -> LatencyPercentiles {
        LatencyPercentiles {
            p50_us: self.quantile_us(0.5),
            p90_us: self.quantile_us(0.9),
            p99_us: self.quantile_us(0.99),
            p999_us: self.quantile_us(0.999),
            p9999_us: self.quantile_us(0.9999),
            max_us: self.quantile_us(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(micros: impl IntoIterator<Item = u64>) -> LatencyRecorder {
        let mut recorder = LatencyRecorder::new();
        micros.into_iter().for_each(|us| recorder.record(Duration::from_micros(us)));
        recorder
    }

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let found = recorder(1..=100_000).percentiles();
        let near = |found: u64, due: u64| found.abs_diff(due) * 1000 <= due;
        assert!(near(found.p50_us, 50_000) && near(found.p90_us, 90_000), "{found:?}");
        assert!(near(found.p99_us, 99_000) && near(found.p999_us, 99_900), "{found:?}");
        assert!(near(found.p9999_us, 99_990) && near(found.max_us, 100_000), "{found:?}");
    }

    #[test]
    fn a_curve_rises_up_to_what_can_be_seen() {
        let curve = recorder(1..=1000).curve();
        assert!(curve.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1), "{curve:?}");
        let last = curve.last().unwrap();
        assert!(last.0 > 99.8 && last.0 <= 99.9 && last.1 > 990.0, "{last:?}");
        assert!(recorder([]).curve().len() <= 1);
    }

    #[test]
    fn nothing_is_zero_and_days_are_an_hour() {
        let mut latencies = recorder([]);
        assert_eq!(latencies.percentiles(), LatencyPercentiles::default());
        latencies.record(Duration::from_hours(48));
        let max_us = latencies.percentiles().max_us;
        assert!(max_us.abs_diff(LONGEST_US) * 1000 <= LONGEST_US, "{max_us}");
        latencies.clear();
        assert_eq!(latencies.percentiles(), LatencyPercentiles::default());
    }
}
