//! What one read says of a node.

use std::time::Instant;

use super::cluster_answer::ClusterAnswer;
use super::operator_url::NodeReading;
use super::samples::Samples;

/// Counters since the start of the node. One that the node does not show is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counters {
    /// Sends that were stored and acknowledged.
    pub(super) sends: Option<f64>,
    /// Frames delivered to sessions.
    pub(super) deliveries: Option<f64>,
    /// Pushes of the bus.
    pub(super) node_events: Option<f64>,
    /// Those that a session here received.
    pub(super) useful: Option<f64>,
    /// Those that this node had published.
    pub(super) echoes: Option<f64>,
    /// CPU time of the process, in seconds.
    pub(super) cpu_seconds: Option<f64>,
}

/// What a node states of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Gauges {
    pub(super) sessions: Option<f64>,
    /// How far the watermark is behind the clock, in seconds; none before the first.
    pub(super) lag_s: Option<f64>,
    /// Resident memory of the process, in bytes.
    pub(super) resident_bytes: Option<f64>,
}

/// One read of a node.
#[derive(Debug, Clone)]
pub struct NodeSample {
    /// When its metrics had been read.
    pub(super) at: Instant,
    pub(super) cluster: ClusterAnswer,
    pub(super) counters: Counters,
    pub(super) gauges: Gauges,
    /// The status of `/readyz`; empty if the answer was of another form.
    pub(super) status: String,
    pub(super) reasons: Vec<String>,
}

impl NodeSample {
    /// Takes what a row needs of a read.
    pub(super) fn of(reading: NodeReading, at: Instant) -> Self {
        let (counters, gauges) = (Counters::of(&reading.samples), Gauges::of(&reading.samples));
        let cluster = reading.cluster;
        Self { at, cluster, counters, gauges, status: String::new(), reasons: Vec::new() }
    }

    /// Adds the answer of `/readyz`.
    pub(super) fn with_readiness(self, status: String, reasons: Vec<String>) -> Self {
        Self { status, reasons, ..self }
    }
}

impl Counters {
    fn of(samples: &Samples) -> Self {
        let received =
            |what: &str| samples.sum(&format!("narrowcast_bus_received_total{{outcome=\"{what}\""));
        Self {
            sends: samples.get("narrowcast_sends_total{outcome=\"sent\"}"),
            deliveries: samples.get("narrowcast_deliveries_total"),
            node_events: samples.sum("narrowcast_bus_received_total{"),
            useful: received("useful"),
            echoes: received("echo"),
            cpu_seconds: samples.get("process_cpu_seconds_total"),
        }
    }

    /// All of them, in their order.
    pub(super) const fn list(&self) -> [Option<f64>; 6] {
        let Self { sends, deliveries, node_events, useful, echoes, cpu_seconds } = *self;
        [sends, deliveries, node_events, useful, echoes, cpu_seconds]
    }
}

impl Gauges {
    fn of(samples: &Samples) -> Self {
        Self {
            sessions: samples.get("narrowcast_sessions"),
            lag_s: samples.get("narrowcast_watermark_lag_seconds"),
            resident_bytes: samples.get("process_resident_memory_bytes"),
        }
    }
}
