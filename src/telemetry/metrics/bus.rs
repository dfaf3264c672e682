//! Metrics of what nodes say to each other by the bus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::durations::DurationHistogram;
use super::registration::{FractionGauge, NameLabel, metrics};
use crate::domain::Class;

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
        /// Pushes of the bus; the class of copies for wide patterns is "wildcard".
        received: [[Counter; 4]; 4] = crossed(
            "bus_received",
            ("outcome", ["useful", "echo", "lingering", "wasted"]),
            ("class", ["user", "room", "topic", "wildcard"])
        );
        /// Useful pushes among those received, echoes left out.
        useful_share: FractionGauge = named("bus_useful_share");
        /// Pushes that no node of this store made.
        pub malformed: Counter = named("bus_malformed");
        /// Pushes of nodes with another store.
        pub foreign: Counter = named("bus_foreign");
        /// Pushes lost in full queues.
        pub worker_queue_overflows: Counter = named("worker_queue_overflows");
        /// Buckets of the published layout that sessions here need.
        pub buckets_held: [Gauge; 3] = labelled("buckets_held", "class", Class::ALL.map(Class::name));
        /// Keys that sessions here need; some may share a bucket.
        pub keys_held: [Gauge; 3] = labelled("keys_held", "class", Class::ALL.map(Class::name));
        /// Buckets that are subscribed only because they linger, in all layouts.
        pub buckets_lingering: Gauge = named("buckets_lingering");
        /// Buckets of the published layout.
        pub layout_buckets: [Gauge; 3] = labelled("layout_buckets", "class", Class::ALL.map(Class::name));
        /// Shards of the published layout.
        pub layout_shards: Gauge = named("layout_shards");
    }

    /// What this node publishes, and its connections to the shards.
    pub struct ShardMetrics {
        /// Publishes.
        publishes: [Counter; 5] = labelled(
            "bus_publishes",
            "outcome",
            ["answered", "detoured", "repeated", "failed", "dropped"]
        );
        /// Publishes by buckets: those of one publish to several buckets count as one.
        publishes_to_buckets: [Counter; 3] = labelled("publishes_to_buckets", "class", Class::ALL.map(Class::name));
        /// Channels of buckets that were published to.
        bucket_copies: [Counter; 3] = labelled("bucket_copies", "class", Class::ALL.map(Class::name));
        /// Publishes to all at once.
        pub publishes_to_all: Counter = named("publishes_to_all");
        /// Publishes that probe shard connections.
        pub canaries: Counter = named("canaries");
        /// Subscriber connections that came up. Each has published once before, to try its rights.
        pub subscriber_connects: Counter = named("shard_subscriber_connects");
        /// To shards.
        pub connections: [Gauge; 3] =
            labelled("shard_connections", "state", ["up", "down", "starting"]);
        /// Whether all connections to a shard are up.
        up: Family<NameLabel, Gauge> = named("shard_up");
        /// Publishes that were sent to a shard.
        shard_publishes: Family<NameLabel, Counter> = named("shard_publishes");
        /// Bytes of the publishes that were sent to a shard.
        shard_publish_bytes: Family<NameLabel, Counter> = named("shard_publish_bytes");
        /// Pushes of a shard.
        shard_pushes: Family<NameLabel, Counter> = named("shard_pushes");
        /// Bytes of the pushes of a shard.
        shard_push_bytes: Family<NameLabel, Counter> = named("shard_push_bytes");
        /// Seconds from a batch of publishes to the shard's answers.
        answer_seconds: Family<NameLabel, DurationHistogram> = named("shard_answer_seconds");
        /// Seconds from a canary's publish to its echo, through a worker and a shard.
        echo_seconds: Family<NameLabel, DurationHistogram> = named("shard_echo_seconds");
    }
}

/// The place of copies for wide patterns behind the classes.
const WILDCARD: usize = Class::ALL.len();

/// The counts of one shard, looked up once. Clones count together.
#[derive(Debug, Clone)]
pub struct ShardTraffic {
    publishes: Counter,
    publish_bytes: Counter,
    pushes: Counter,
    push_bytes: Counter,
    /// How long answers to batches of publishes take.
    pub answer: DurationHistogram,
    /// How long echoes of canaries take.
    pub echo: DurationHistogram,
}

impl ShardTraffic {
    /// Counts a batch of publishes.
    pub fn published(&self, count: u64, bytes: u64) {
        self.publishes.inc_by(count);
        self.publish_bytes.inc_by(bytes);
    }

    /// Counts a push.
    pub fn pushed(&self, bytes: usize) {
        self.pushes.inc();
        self.push_bytes.inc_by(bytes as u64);
    }
}

impl BusMetrics {
    /// Counts a push of the bus that came by a bucket of a class, or as a copy for wide patterns.
    pub fn received(&self, what: Received, class: Option<Class>) {
        self.received[what as usize][class.map_or(WILDCARD, |class| class as usize)].inc();
    }

    /// Pushes of one kind so far.
    pub fn received_so_far(&self, what: Received) -> u64 {
        self.received[what as usize].iter().map(Counter::get).sum()
    }

    /// Node events so far: every push received, the own echo included.
    pub fn node_events(&self) -> u64 {
        self.received.iter().flatten().map(Counter::get).sum()
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

    /// Counts a publish to so many buckets of a class.
    pub fn published_to_buckets(&self, class: Class, buckets: usize) {
        self.publishes_to_buckets[class as usize].inc();
        self.bucket_copies[class as usize].inc_by(buckets as u64);
    }

    /// Publishes by buckets so far.
    pub fn bucket_publishes(&self) -> u64 {
        self.publishes_to_buckets.iter().map(Counter::get).sum()
    }

    /// Returns the counts of a shard.
    pub fn traffic(&self, shard: &str) -> ShardTraffic {
        let label = [("shard", shard.to_owned())];
        ShardTraffic {
            publishes: self.shard_publishes.get_or_create_owned(&label),
            publish_bytes: self.shard_publish_bytes.get_or_create_owned(&label),
            pushes: self.shard_pushes.get_or_create_owned(&label),
            push_bytes: self.shard_push_bytes.get_or_create_owned(&label),
            answer: self.answer_seconds.get_or_create_owned(&label),
            echo: self.echo_seconds.get_or_create_owned(&label),
        }
    }

    /// Shows whether a shard is up.
    pub fn show_up(&self, shard: &str, is_up: bool) {
        self.up.get_or_create(&[("shard", shard.to_owned())]).set(is_up.into());
    }
}
