//! All metrics, by what they are about. Labels are small closed sets: no user, conversation or subject.

mod bus;
mod client_programs;
mod clients;
mod durations;
mod guarantees;
mod process;
mod registration;
mod store;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::logging::dropped_lines;
pub use bus::{BusMetrics, PublishOutcome, Received, ShardMetrics, ShardTraffic};
pub use client_programs::ClientPermit;
pub use clients::{
    LimitMetrics, Limited, ListenerMetrics, SendMetrics, SendOutcome, SessionMetrics, WorkerGauges,
};
pub use durations::DurationHistogram;
pub use guarantees::{AgentMetrics, ClockMetrics, RecoveryMetrics, WatermarkMetrics};
use process::ProcessCollector;
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
        let mut all = Registry::default();
        all.register_collector(Box::new(ProcessCollector));
        let registry = all.sub_registry_with_prefix("narrowcast");
        let help = "Lines of this process's log that were not written";
        registry.register("log_lines_dropped", help, dropped_lines());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        Self {
            bus: BusMetrics::register(registry),
            shards: ShardMetrics::register(registry),
            listeners: ListenerMetrics::register(registry),
            sessions: SessionMetrics::register(registry),
            sends: SendMetrics::register(registry),
            limits: LimitMetrics::register(registry),
            clock: ClockMetrics::register(registry),
            agent: AgentMetrics::register(registry),
            watermark: WatermarkMetrics::register(registry),
            recovery: RecoveryMetrics::register(registry),
            store: StoreMetrics::register(registry),
            registry: all,
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
    use crate::domain::Class;

    #[test]
    fn the_program_and_its_process_are_told_under_the_names_that_dashboards_know() {
        let text = Metrics::new().render();
        let version = format!("narrowcast_build_info{{version={:?}}} 1", env!("CARGO_PKG_VERSION"));
        let names =
            ["process_resident_memory_bytes ", "process_cpu_seconds_total ", "process_open_fds "];
        for start in names.into_iter().chain([version.as_str()]) {
            assert!(text.lines().any(|line| line.starts_with(start)), "{start} in {text}");
        }
    }

    #[test]
    fn a_shards_traffic_is_counted_by_its_name() {
        let metrics = Metrics::new();
        let traffic = metrics.shards.traffic("r1");
        traffic.published(2, 30);
        metrics.shards.traffic("r1").pushed(7);
        traffic.echo.observe(std::time::Duration::from_millis(1));
        let text = metrics.render();
        for line in [
            "narrowcast_shard_publishes_total{shard=\"r1\"} 2",
            "narrowcast_shard_publish_bytes_total{shard=\"r1\"} 30",
            "narrowcast_shard_pushes_total{shard=\"r1\"} 1",
            "narrowcast_shard_push_bytes_total{shard=\"r1\"} 7",
            "narrowcast_shard_echo_seconds_bucket{le=\"0.001\",shard=\"r1\"} 1",
            "narrowcast_shard_echo_seconds_count{shard=\"r1\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

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
        let user = Some(Class::User);
        metrics.bus.received(Received::Useful, user);
        metrics.bus.received(Received::Echo, user);
        metrics.bus.received(Received::Wasted, user);
        metrics.bus.received(Received::Lingering, None);
        metrics.bus.received(Received::Wasted, user);
        assert_eq!(metrics.bus.node_events(), 5);
        assert!((metrics.bus.useful_share() - 0.25).abs() < f64::EPSILON);
        let text = metrics.render();
        assert!(
            text.contains("narrowcast_bus_received_total{outcome=\"wasted\",class=\"user\"} 2"),
            "{text}"
        );
        assert!(text.contains("narrowcast_bus_useful_share 0.25"), "{text}");
    }
}
