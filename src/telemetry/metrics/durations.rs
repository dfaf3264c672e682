//! A histogram of durations that threads fill without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The first upper bound, in nanoseconds. Each further one is twice the one before.
const FIRST_NANOS: u64 = 62_500;

/// Upper bounds: 62.5 us to 8.192 s. One more cell counts what takes longer.
const BOUNDS: usize = 18;

/// How often something took how long. Observing costs two relaxed additions. Clones are the same
/// histogram.
#[derive(Clone, Default)]
pub struct DurationHistogram(Arc<Cells>);

#[derive(Default)]
struct Cells {
    counts: [AtomicU64; BOUNDS + 1],
    nanos: AtomicU64,
}

impl DurationHistogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.counts[cell(nanos)].fetch_add(1, Ordering::Relaxed);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Shows what another one counted instead: a store counts by itself, and outlives its nodes.
    pub(super) fn show(&self, other: &Self) {
        let copy = |to: &AtomicU64, from: &AtomicU64| {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        self.0.counts.iter().zip(&other.0.counts).for_each(|(to, from)| copy(to, from));
        copy(&self.0.nanos, &other.0.nanos);
    }

    /// The upper bounds in seconds with the counts of their cells, which are not cumulative.
    fn cells(&self) -> Vec<(f64, u64)> {
        let bound = |at: usize| match at {
            // Prometheus computes no quantile without this very bound.
            BOUNDS => f64::INFINITY,
            _ => (FIRST_NANOS << at) as f64 / 1e9,
        };
        let counts = self.0.counts.iter().enumerate();
        counts.map(|(at, count)| (bound(at), count.load(Ordering::Relaxed))).collect()
    }
}

/// The index of the cell of a duration.
const fn cell(nanos: u64) -> usize {
    let parts = nanos.div_ceil(FIRST_NANOS);
    let at = if parts <= 1 { 0 } else { u64::BITS - (parts - 1).leading_zeros() } as usize;
    if at < BOUNDS { at } else { BOUNDS }
}

impl fmt::Debug for DurationHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurationHistogram of {}", self.count())
    }
}

impl TypedMetric for DurationHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let cells = self.cells();
        // Of the same reading, so that the last cell is the count.
        let count = cells.iter().map(|(_, count)| count).sum();
        let seconds = self.0.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &cells, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_inclusive_and_the_last_cell_has_none() {
        for (nanos, at) in [
            (0, 0),
            (62_500, 0),
            (62_501, 1),
            (125_000, 1),
            (125_001, 2),
            (8_192_000_000, 17),
            (8_192_000_001, 18),
            (u64::MAX, 18),
        ] {
            assert_eq!(cell(nanos), at, "{nanos}");
        }
    }

    #[test]
    fn the_last_cell_is_shown_as_unbounded() {
        let mut registry = Registry::default();
        let histogram = DurationHistogram::default();
        histogram.observe(Duration::MAX);
        registry.register("waits_seconds", "Waits", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("waits_seconds_bucket{le=\"8.192\"} 0\n"), "{text}");
        assert!(text.contains("waits_seconds_bucket{le=\"+Inf\"} 1\n"), "{text}");
    }

    #[test]
    fn clones_count_together_and_a_copy_shows_the_same() {
        let (one, shown) = (DurationHistogram::default(), DurationHistogram::default());
        one.clone().observe(Duration::from_millis(1));
        one.observe(Duration::MAX);
        shown.show(&one);
        shown.show(&one);
        assert_eq!((one.count(), shown.count()), (2, 2));
        assert_eq!(shown.cells()[4], (0.001, 1));
    }

    proptest! {
        #[test]
        fn a_duration_is_in_the_first_cell_whose_bound_it_does_not_exceed(nanos: u64) {
            let cells = DurationHistogram::default().cells();
            let expected = cells.iter().position(|(bound, _)| nanos as f64 <= bound * 1e9 + 1e-3);
            let near = cells.iter().any(|(bound, _)| (nanos as f64 - bound * 1e9).abs() < 1.0);
            prop_assert!(near || expected == Some(cell(nanos)));
        }
    }
}
