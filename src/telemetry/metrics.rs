//! All metrics, by what they are about. Labels are small closed sets: no user, conversation or subject.

mod bus;
mod client_programs;
mod clients;
mod guarantees;
mod registration;
mod store;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::logging::dropped_lines;
pub use bus::{BusMetrics, PublishOutcome, Received, ShardMetrics};
pub use client_programs::ClientPermit;
pub use clients::{
    LimitMetrics, Limited, ListenerMetrics, SendMetrics, SendOutcome, SessionMetrics,
};
pub use guarantees::{AgentMetrics, ClockMetrics, RecoveryMetrics, WatermarkMetrics};
pub use store::{StoreFigures, StoreMetrics};

/// The metrics of a node, shared by its workers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What comes from the bus.
    pub bus: BusMetrics,
    /// What goes to the shards.
    pub shards: ShardMetrics,
    /// Connections and HTTP requests.
    pub listeners: ListenerMetrics,
    /// Sessions and frames.
    pub sessions: SessionMetrics,
    /// Sends of messages.
    pub sends: SendMetrics,
    /// Limits.
    pub limits: LimitMetrics,
    /// The node's time.
    pub clock: ClockMetrics,
    /// Heartbeats and leases.
    pub agent: AgentMetrics,
    /// The watermark.
    pub watermark: WatermarkMetrics,
    /// Reads for sessions.
    pub recovery: RecoveryMetrics,
    /// The store's own figures.
    pub store: StoreMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes all metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("narrowcast");
        let help = "Lines of this process's log that were not written";
        registry.register("log_lines_dropped", help, dropped_lines());
        Self {
            bus: BusMetrics::register(&mut registry),
            shards: ShardMetrics::register(&mut registry),
            listeners: ListenerMetrics::register(&mut registry),
            sessions: SessionMetrics::register(&mut registry),
            sends: SendMetrics::register(&mut registry),
            limits: LimitMetrics::register(&mut registry),
            clock: ClockMetrics::register(&mut registry),
            agent: AgentMetrics::register(&mut registry),
            watermark: WatermarkMetrics::register(&mut registry),
            recovery: RecoveryMetrics::register(&mut registry),
            store: StoreMetrics::register(&mut registry),
            registry,
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.bus.refresh();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_tells_nothing_is_not_shown() {
        let metrics = Metrics::new();
        assert!(!metrics.render().contains("narrowcast_store_connections{"));
        let figures = StoreFigures {
            connections: 4,
            latency_ms: Some([1, 2, 3]),
            statements: vec![("write_message", 7)],
            ..StoreFigures::default()
        };
        metrics.store.show(&figures);
        metrics.store.show(&figures);
        let text = metrics.render();
        for line in [
            "narrowcast_store_connections{state=\"open\"} 4",
            "narrowcast_store_attempts_total{event=\"failed\"} 0",
            "narrowcast_store_statements_total{statement=\"write_message\"} 7",
            "narrowcast_store_latency_milliseconds{quantile=\"0.99\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn the_useful_share_leaves_echoes_out() {
        let metrics = Metrics::new();
        assert!((metrics.bus.useful_share() - 1.0).abs() < f64::EPSILON);
        metrics.bus.received(Received::Useful);
        metrics.bus.received(Received::Echo);
        metrics.bus.received(Received::Wasted);
        metrics.bus.received(Received::Lingering);
        metrics.bus.received(Received::Wasted);
        assert_eq!(metrics.bus.node_events(), 5);
        assert!((metrics.bus.useful_share() - 0.25).abs() < f64::EPSILON);
        let text = metrics.render();
        assert!(text.contains("narrowcast_bus_received_total{outcome=\"wasted\"} 2"), "{text}");
        assert!(text.contains("narrowcast_bus_useful_share 0.25"), "{text}");
    }
}
