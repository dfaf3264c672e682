//! What happens in each second of a load.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use crate::bench::nodes::{Counts, RunningNode};
use crate::monitor::Samples;

/// How long the metrics of a node may take: they are asked for once a second.
const METRICS_TIMEOUT: Duration = Duration::from_millis(800);

/// One second of a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadSecond {
    /// Its end, in seconds since the load began.
    pub at_s: f64,
    /// Messages, events and requests that were sent in it.
    pub sent: u64,
    /// Those that were acknowledged in it.
    pub acked: u64,
    /// Deliveries that came in it.
    pub delivered: u64,
    /// Acknowledged deliveries to sessions that are there, ten seconds late at its end.
    pub overdue: u64,
    /// Sessions that are connected and live.
    pub live: usize,
    /// The median latency of its deliveries.
    pub p50_us: u64,
    /// Their 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// What the nodes said of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesSecond>,
}

/// What the metrics of all nodes say of one second. A node that does not answer is left out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct NodesSecond {
    /// Nodes that answered.
    pub nodes: usize,
    /// Pushes that they received from the bus in it, echoes counted.
    pub node_events: u64,
    /// Useful pushes among those received, echoes left out; 1 if there were none.
    pub useful_share: f64,
    /// The largest lag of a node's watermark.
    pub watermark_lag_s: f64,
    /// Their sessions.
    pub sessions: u64,
}

/// Metrics of running nodes, from one second to the next.
#[derive(Debug, Default)]
pub(super) struct NodeMetrics {
    nodes: Vec<RunningNode>,
    last: Vec<Option<Counts>>,
}

/// What one node said.
#[derive(Debug, Clone, Copy, Default)]
struct MetricsSample {
    counts: Counts,
    watermark_lag_s: f64,
    sessions: u64,
}

impl NodeMetrics {
    pub(super) fn new(nodes: Vec<RunningNode>) -> Self {
        Self { last: vec![None; nodes.len()], nodes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Asks all nodes at once.
    pub(super) async fn read(mut self) -> (Self, NodesSecond) {
        let mut asking = tokio::task::JoinSet::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let node = node.clone();
            asking.spawn(async move { (place, ask(&node).await) });
        }
        let (mut second, mut events) = (NodesSecond::default(), Counts::default());
        while let Some(answer) = asking.join_next().await {
            let Ok((place, Some(sample))) = answer else { continue };
            second.nodes += 1;
            second.sessions += sample.sessions;
            second.watermark_lag_s = second.watermark_lag_s.max(sample.watermark_lag_s);
            // One that was started again counts from zero.
            let last = self.last[place].filter(|last| last.all <= sample.counts.all);
            let first =
                if self.last[place].is_some() { last.unwrap_or_default() } else { sample.counts };
            events = events.plus(sample.counts.since(first));
            self.last[place] = Some(sample.counts);
        }
        second.node_events = events.all;
        second.useful_share = events.useful_share();
        (self, second)
    }
}

async fn ask(node: &RunningNode) -> Option<MetricsSample> {
    let samples = timeout(METRICS_TIMEOUT, node.samples()).await.ok()?.ok()?;
    Some(MetricsSample::of(&samples))
}

impl MetricsSample {
    fn of(samples: &Samples) -> Self {
        let mut counts = Counts::default();
        counts.add_samples(samples);
        Self {
            counts,
            watermark_lag_s: samples.of("narrowcast_watermark_lag_seconds"),
            sessions: samples.of("narrowcast_sessions") as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_read() {
        let text = "# TYPE narrowcast_sessions gauge\nnarrowcast_sessions 12\n\
                    narrowcast_sessions_x 3\nnarrowcast_watermark_lag_seconds 0.25\n\
                    narrowcast_bus_received_total{outcome=\"useful\",class=\"user\"} 7\n";
        let sample = MetricsSample::of(&Samples::read(text));
        assert_eq!((sample.sessions, sample.counts.all, sample.watermark_lag_s), (12, 7, 0.25));
    }
}
