//! Metrics of the clock.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What is known of the time.
#[derive(Debug, Default)]
pub struct ClockFigures {
    /// How far the machine's clock is ahead of the store's, in seconds, as last measured.
    pub offset: Gauge<f64, AtomicU64>,
    /// How wide the interval is that contains the store's time, in seconds, after the last check.
    pub uncertainty: Gauge<f64, AtomicU64>,
    /// Store nodes whose clocks disagree with the others.
    pub apart: Gauge,
    /// Whether this node's time is known to be right.
    pub known: Gauge,
}

impl ClockFigures {
    /// Adds them to a registry.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let help = "How far the machine's clock is ahead of the store's, as last measured";
        registry.register("clock_offset_seconds", help, figures.offset.clone());
        let help = "How wide the interval is that contains the store's time, after the last check";
        registry.register("clock_uncertainty_seconds", help, figures.uncertainty.clone());
        let help = "Store nodes whose clocks disagree with the others";
        registry.register("clocks_apart", help, figures.apart.clone());
        registry.register("clock_known", "Whether the time is known", figures.known.clone());
        figures
    }
}
