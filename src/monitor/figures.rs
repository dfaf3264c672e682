//! Figures of a node, or of all nodes together.

use super::node_sample::{Counters, Gauges, NodeSample};

/// Counts a second. One whose counter the node does not show is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CounterRates {
    /// Sends that were stored and acknowledged.
    pub sends: Option<f64>,
    /// Frames delivered to sessions.
    pub deliveries: Option<f64>,
    /// Pushes of the bus.
    pub node_events: Option<f64>,
    /// Pushes of the bus that a session received.
    pub useful: Option<f64>,
    /// Pushes of the bus that the node itself had published.
    pub echoes: Option<f64>,
    /// Seconds of CPU time: 1 is one core.
    pub cpu: Option<f64>,
}

impl CounterRates {
    /// The rates between two reads of one node. There are none if no time passed, or if the node was
    /// restarted between them: its boot is another one, or a counter went down.
    pub(super) fn between(before: &NodeSample, after: &NodeSample) -> Option<Self> {
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
        let is_restarted = before.cluster.boot != after.cluster.boot
            || has_fallen(&before.counters, &after.counters);
        if seconds <= 0.0 || is_restarted {
            return None;
        }
        let pairs = before.counters.list().into_iter().zip(after.counters.list());
        let mut rates = pairs.map(|(before, after)| Some((after? - before?) / seconds));
        let mut next = || rates.next().flatten();
        Some(Self {
            sends: next(),
            deliveries: next(),
            node_events: next(),
            useful: next(),
            echoes: next(),
            cpu: next(),
        })
    }

    /// Pushes of the bus for a delivery; none while nothing is delivered.
    pub fn node_events_per_delivery(&self) -> Option<f64> {
        quotient(self.node_events?, self.deliveries?)
    }

    /// Useful pushes among those of other nodes, from 0 to 1; none while there are none.
    pub fn useful_share(&self) -> Option<f64> {
        // Quotients of large counts are not exact.
        quotient(self.useful?, self.node_events? - self.echoes?).map(|share| share.min(1.0))
    }
}

fn has_fallen(before: &Counters, after: &Counters) -> bool {
    let pairs = before.list().into_iter().zip(after.list());
    pairs.into_iter().any(|(before, after)| matches!((before, after), (Some(b), Some(a)) if a < b))
}

fn quotient(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// What a row shows of a node besides its name and its trouble.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NodeFigures {
    /// Sessions now.
    pub sessions: Option<f64>,
    /// Rates since the read before.
    pub rates: CounterRates,
    /// How far the watermark is behind the clock, in seconds.
    pub lag_s: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<f64>,
}

impl NodeFigures {
    /// Joins what a node states of a moment and its rates.
    pub(super) const fn new(gauges: &Gauges, rates: CounterRates) -> Self {
        let Gauges { sessions, lag_s, resident_bytes } = *gauges;
        Self { sessions, rates, lag_s, resident_bytes }
    }

    /// The figures of several nodes: sums of what is known, and the largest lag.
    pub fn total(nodes: &[Self]) -> Self {
        let sum = |figure: fn(&Self) -> Option<f64>| {
            nodes.iter().filter_map(figure).reduce(|sum, value| sum + value)
        };
        Self {
            sessions: sum(|node| node.sessions),
            rates: CounterRates {
                sends: sum(|node| node.rates.sends),
                deliveries: sum(|node| node.rates.deliveries),
                node_events: sum(|node| node.rates.node_events),
                useful: sum(|node| node.rates.useful),
                echoes: sum(|node| node.rates.echoes),
                cpu: sum(|node| node.rates.cpu),
            },
            lag_s: nodes.iter().filter_map(|node| node.lag_s).reduce(f64::max),
            resident_bytes: sum(|node| node.resident_bytes),
        }
    }
}
