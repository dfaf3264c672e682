//! Metrics of what nodes say to each other by the bus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::registration::{FractionGauge, metrics};

/// What a push of the bus was for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Received {
    /// A session here received it.
    Useful,
    /// This node published it, and delivered it at that time.
    Echo,
    /// Its bucket is subscribed only because it lingers.
    Lingering,
    /// No session here wants it.
    Wasted,
}

/// The outcome of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishOutcome {
    /// Answered by its shard.
    Answered,
    /// Sent to `all` of another shard, since its own is down.
    Detoured,
    /// A message that was refused, or whose connection broke before the answer: it is sent again.
    Repeated,
    /// Refused by its shard, or its connection broke before the answer.
    Failed,
    /// Given up on: an event while no shard is up, or a message under an announced gap.
    Dropped,
}

metrics! {
    /// What this node receives.
    pub struct BusMetrics {
        /// Pushes of the bus.
        received: [Counter; 4] =
            labelled("bus_received", "outcome", ["useful", "echo", "lingering", "wasted"]);
        /// Useful pushes among those received, echoes left out.
        useful_share: FractionGauge = named("bus_useful_share");
        /// Pushes that no node of this store made.
        pub malformed: Counter = named("bus_malformed");
        /// Pushes of nodes with another store.
        pub foreign: Counter = named("bus_foreign");
        /// Pushes lost in full queues.
        pub worker_queue_overflows: Counter = named("worker_queue_overflows");
        /// Buckets of the published layout that sessions here need.
        pub buckets_held: [Gauge; 3] =
            labelled("buckets_held", "class", ["user", "room", "topic"]);
    }

    /// What this node publishes, and its connections to the shards.
    pub struct ShardMetrics {
        /// Publishes.
        publishes: [Counter; 5] = labelled(
            "bus_publishes",
            "outcome",
            ["answered", "detoured", "repeated", "failed", "dropped"]
        );
        /// Publishes by buckets.
        pub publishes_to_buckets: Counter = named("publishes_to_buckets");
        /// Publishes to all at once.
        pub publishes_to_all: Counter = named("publishes_to_all");
        /// Publishes that probe shard connections.
        pub canaries: Counter = named("canaries");
        /// To shards.
        pub connections: [Gauge; 3] =
            labelled("shard_connections", "state", ["up", "down", "starting"]);
    }
}

impl BusMetrics {
    /// Counts a push of the bus.
    pub fn received(&self, what: Received) {
        self.received[what as usize].inc();
    }

    /// Pushes of one kind so far.
    pub fn received_so_far(&self, what: Received) -> u64 {
        self.received[what as usize].get()
    }

    /// Node events so far: every push received, the own echo included.
    pub fn node_events(&self) -> u64 {
        self.received.iter().map(Counter::get).sum()
    }

    /// Useful pushes among those received, the own echo left out; 1 before the first.
    pub fn useful_share(&self) -> f64 {
        let others = self.node_events() - self.received_so_far(Received::Echo);
        if others == 0 {
            return 1.0;
        }
        self.received_so_far(Received::Useful) as f64 / others as f64
    }

    /// Sets what is computed when the metrics are shown.
    pub(super) fn refresh(&self) {
        self.useful_share.set(self.useful_share());
    }
}

impl ShardMetrics {
    /// Counts publishes.
    pub fn publishes(&self, outcome: PublishOutcome, count: u64) {
        self.publishes[outcome as usize].inc_by(count);
    }
}
