//! What a store reports of the servers that it asks.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What a store reports of the servers that it asks, since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

type Label = [(&'static str, &'static str); 1];

/// The metric families of the figures; empty for a store that has none.
#[derive(Debug)]
pub(super) struct StoreFamilies {
    attempts: Family<Label, Counter>,
    statements: Family<Label, Counter>,
    connections: Family<Label, Gauge>,
    latency: Family<Label, Gauge>,
}

impl StoreFamilies {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            attempts: Family::default(),
            statements: Family::default(),
            connections: Family::default(),
            latency: Family::default(),
        };
        let help = "Attempts at the store's servers, by outcome";
        registry.register("store_attempts", help, families.attempts.clone());
        let help = "Statements issued to the store's servers";
        registry.register("store_statements", help, families.statements.clone());
        let help = "Connections to the store's servers";
        registry.register("store_connections", help, families.connections.clone());
        let help = "Milliseconds that attempts at the store's servers took";
        registry.register("store_latency_milliseconds", help, families.latency.clone());
        families
    }

    pub(super) fn show(&self, figures: &StoreFigures) {
        let StoreFigures { attempts, errors, retries, timeouts, .. } = *figures;
        let events =
            [("made", attempts), ("failed", errors), ("again", retries), ("timed_out", timeouts)];
        for (event, count) in events {
            set(&self.attempts.get_or_create(&[("event", event)]), count);
        }
        for (statement, count) in &figures.statements {
            set(&self.statements.get_or_create(&[("statement", statement)]), *count);
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
