//! What a store reports of the servers that it asks.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::durations::DurationHistogram;
use super::registration::{Label, metrics};

/// What a store reports of the servers that it asks, since it was opened.
#[derive(Debug, Clone, Default)]
pub struct StoreFigures {
    /// Attempts: a request may have been several.
    pub attempts: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Attempts made because an earlier one of the request failed.
    pub retries: u64,
    /// Requests that were given up when their time was over.
    pub timeouts: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Milliseconds within which half, 95 % and 99 % of the attempts were answered; none before the
    /// first.
    pub latency_ms: Option<[u64; 3]>,
    /// Statements issued, by their names: a small closed set.
    pub statements: Vec<(&'static str, u64)>,
    /// How long statements took, by what they are about: a small closed set.
    pub operations: Vec<(&'static str, DurationHistogram)>,
}

metrics! {
    /// The figures; nothing is shown for a store that has none.
    pub struct StoreMetrics {
        /// Attempts at the store's servers, by outcome.
        attempts: Family<Label, Counter> = named("store_attempts");
        /// Statements issued to the store's servers.
        statements: Family<Label, Counter> = named("store_statements");
        /// Connections to the store's servers.
        connections: Family<Label, Gauge> = named("store_connections");
        /// Milliseconds that attempts at the store's servers took.
        latency: Family<Label, Gauge> = named("store_latency_milliseconds");
        /// Seconds from a statement to the answer of the store's servers.
        operations: Family<Label, DurationHistogram> = named("store_operation_seconds");
    }
}

impl StoreMetrics {
    /// Sets what a store reports.
    pub fn show(&self, figures: &StoreFigures) {
        let StoreFigures { attempts, errors, retries, timeouts, .. } = *figures;
        let events =
            [("made", attempts), ("failed", errors), ("again", retries), ("timed_out", timeouts)];
        for (event, count) in events {
            set(&self.attempts.get_or_create(&[("event", event)]), count);
        }
        for (statement, count) in &figures.statements {
            set(&self.statements.get_or_create(&[("statement", statement)]), *count);
        }
        for (operation, seconds) in &figures.operations {
            self.operations.get_or_create(&[("operation", operation)]).show(seconds);
        }
        self.connections.get_or_create(&[("state", "open")]).set(figures.connections as i64);
        let quantiles = ["0.5", "0.95", "0.99"];
        for (quantile, millis) in quantiles.into_iter().zip(figures.latency_ms.iter().flatten()) {
            self.latency.get_or_create(&[("quantile", quantile)]).set(*millis as i64);
        }
    }
}

/// The store counts by itself.
fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}
