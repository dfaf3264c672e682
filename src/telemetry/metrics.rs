//! All metrics. Labels are small closed sets: no user, conversation or subject.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::clock::ClockFigures;
use super::dropped::Dropped;
use super::logging::dropped_lines;
use super::store::{StoreFamilies, StoreFigures};
use crate::cluster::DeliveryGap;

/// A gauge that is no whole number.
type FractionGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

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

/// The outcome of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendOutcome {
    /// Stored and acknowledged.
    Sent,
    /// It may have been stored.
    Unknown,
    /// Not stored.
    Unavailable,
    /// Refused because of its content.
    Refused,
}

/// What the limits decided on a send, an event or a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limited {
    /// It was allowed.
    Allowed,
    /// It was refused.
    Refused,
    /// It was refused since an earlier one was, whose waiting time is not over.
    Cached,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabels {
    code: u32,
}

/// The counters of a node, shared by its workers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: [Counter; 4],
    publishes: [Counter; 5],
    sends: [Counter; 4],
    limited: [Counter; 3],
    closes: Family<CloseLabels, Counter>,
    http_answers: [Counter; 3],
    dropped: [Counter; Dropped::ALL.len()],
    store: StoreFamilies,
    useful_share: FractionGauge,
    /// Pushes that are not an envelope of a known version.
    pub malformed_pushes: Counter,
    /// Pushes of nodes with another store.
    pub foreign_pushes: Counter,
    /// Pushes lost because a worker's queue was full.
    pub worker_queue_overflows: Counter,
    /// Publishes that went to the buckets of their keys.
    pub publishes_to_buckets: Counter,
    /// Publishes that went to all at once.
    pub publishes_to_all: Counter,
    /// Frames delivered to sessions.
    pub deliveries: Counter,
    /// Events not delivered to a session whose outbox was full.
    pub shed_events: Counter,
    /// Frames of clients.
    pub client_frames: Counter,
    /// Sessions after their `hello`.
    pub sessions: Gauge,
    /// Open connections of clients, sessions or not.
    pub connections: Gauge,
    /// Bytes that wait for clients whose sockets are full.
    pub outbox_bytes: Gauge,
    /// Sends decided by this node's share of a limit, since the shard gave no answer.
    pub unshared_limits: Counter,
    /// Frames refused, since their connection sent too many or too much.
    pub refused_frames: Counter,
    /// Connections refused, since their address had too many.
    pub refused_addresses: Counter,
    /// Connections that could not be accepted, since there was no descriptor for them.
    pub accept_errors: Counter,
    /// Ids seen too far ahead of the clock.
    pub refused_times: Counter,
    /// Seconds from a send's id to its acknowledgement by the store.
    pub store_seconds: Histogram,
    /// Buckets that sessions need: users', rooms', topics'.
    pub buckets_held: [Gauge; 3],
    /// Shard connections: up, down, and those that have not been up yet.
    pub links: [Gauge; 3],
    /// Delivery gaps by cause, in the order of [`DeliveryGap::ALL`].
    pub breaks: [Counter; DeliveryGap::ALL.len()],
    /// Rounds of reads for all sessions: repairs, pull rounds.
    pub rounds: [Counter; 2],
    /// The watermark, in microseconds of the Unix epoch.
    pub watermark: Gauge,
    /// How far the watermark is behind the clock, in seconds; NaN before the first.
    pub watermark_lag: FractionGauge,
    /// Whether the watermark stands still.
    pub frozen: Gauge,
    /// What is known of the time.
    pub clock: ClockFigures,
    /// Leases that ran out.
    pub fences: Counter,
    /// Heartbeats that were written.
    pub heartbeats_written: Counter,
    /// Heartbeats that were not acknowledged in time.
    pub heartbeats_failed: Counter,
    /// Canaries sent, one per shard and round.
    pub canaries: Counter,
    /// Reads of the cluster table.
    pub cluster_reads: Counter,
    /// Reads of resumes, rounds and audits.
    pub recovery_reads: Counter,
    /// Messages delivered by resumes.
    pub resumed_messages: Counter,
    /// Messages delivered by repairs and by pull rounds that had not come live.
    pub repaired: [Counter; 2],
    /// Messages below the watermark that were not delivered: a bug, or a part that reports falsely.
    pub audit_found: Counter,
    /// Messages below the watermark that were not delivered, since their sends were answered
    /// `outcome_unknown` or were under way when their node died.
    pub audit_unknown: Counter,
    /// Messages that were published though their sends had been answered `outcome_unknown`.
    pub published_late: Counter,
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
        let outcomes = ["useful", "echo", "lingering", "wasted"];
        let received = by_outcome(&mut registry, "bus_received", "Pushes of the bus", outcomes);
        let outcomes = ["answered", "detoured", "repeated", "failed", "dropped"];
        let publishes = by_outcome(&mut registry, "bus_publishes", "Publishes", outcomes);
        let outcomes = ["sent", "unknown", "unavailable", "refused"];
        let sends = by_outcome(&mut registry, "sends", "Sends of messages", outcomes);
        let outcomes = ["allowed", "refused", "cached"];
        let limited = by_outcome(&mut registry, "limit_decisions", "Limit decisions", outcomes);
        let closes = Family::default();
        registry.register("closes", "Sessions closed by the server, by code", closes.clone());
        let classes = ["2xx", "4xx", "5xx"];
        let http_answers =
            by(&mut registry, "http_answers", "Answers of the HTTP API", "class", classes);
        let help = "Useful pushes among those received, echoes left out";
        let useful_share = fraction(&mut registry, "bus_useful_share", help);
        let help = "How far the watermark is behind the clock, NaN before the first";
        let watermark_lag = fraction(&mut registry, "watermark_lag_seconds", help);
        let store_seconds = append_seconds(&mut registry);
        let help = "Buckets of the published layout that sessions here need";
        let buckets_held =
            gauges(&mut registry, "buckets_held", help, "class", ["user", "room", "topic"]);
        let states = ["up", "down", "starting"];
        let links = gauges(&mut registry, "shard_connections", "To shards", "state", states);
        let help = "Gaps that froze the watermark";
        let causes = DeliveryGap::ALL.map(DeliveryGap::name);
        let breaks = by(&mut registry, "delivery_gaps", help, "cause", causes);
        let help = "Rounds of reads for all sessions here";
        let rounds = by(&mut registry, "recovery_rounds", help, "kind", ["repair", "pull"]);
        let help = "Messages delivered by rounds that had not come live";
        let repaired = by(&mut registry, "recovered_messages", help, "kind", ["repair", "pull"]);
        let store = StoreFamilies::new(&mut registry);
        let help = "Lines of this process's log that were not written";
        registry.register("log_lines_dropped", help, dropped_lines());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            malformed_pushes: counter("bus_malformed", "Pushes that no node of this store made"),
            foreign_pushes: counter("bus_foreign", "Pushes of nodes with another store"),
            worker_queue_overflows: counter("worker_queue_overflows", "Pushes lost in full queues"),
            publishes_to_buckets: counter("publishes_to_buckets", "Publishes by buckets"),
            publishes_to_all: counter("publishes_to_all", "Publishes to all at once"),
            deliveries: counter("deliveries", "Frames delivered to sessions"),
            shed_events: counter("events_shed", "Events not delivered to slow sessions"),
            client_frames: counter("client_frames", "Frames of clients"),
            unshared_limits: counter("limiter_unshared", "Sends decided by this node alone"),
            refused_frames: counter("frames_refused", "Frames of connections above their rates"),
            refused_addresses: counter("addresses_refused", "Connections above an address's bound"),
            accept_errors: counter("accept_errors", "Failures to accept a connection"),
            refused_times: counter("clock_refused", "Ids seen too far ahead of the clock"),
            fences: counter("fences", "Leases that ran out"),
            heartbeats_written: counter("heartbeats_written", "Heartbeats that were stored"),
            heartbeats_failed: counter("heartbeats_failed", "Heartbeats not stored in time"),
            cluster_reads: counter("cluster_reads", "Reads of the cluster table"),
            canaries: counter("canaries", "Publishes that probe shard connections"),
            recovery_reads: counter("recovery_reads", "Reads of resumes, rounds and audits"),
            resumed_messages: counter("resumed_messages", "Messages delivered by resumes"),
            audit_found: counter("audit_found", "Messages below the watermark, not delivered"),
            audit_unknown: counter(
                "audit_unknown",
                "The same for sends that were answered outcome_unknown, or died with their node",
            ),
            published_late: counter(
                "published_late",
                "Messages published after their sends were answered outcome_unknown",
            ),
            repaired,
            breaks,
            rounds,
            watermark: gauge(&mut registry, "watermark_micros", "The watermark, in microseconds"),
            frozen: gauge(
                &mut registry,
                "watermark_frozen",
                "Whether the watermark stands still: a shard connection broke, the cluster table \
                 is not read, or the time is not known",
            ),
            clock: ClockFigures::register(&mut registry),
            sessions: gauge(&mut registry, "sessions", "Sessions after their hello"),
            connections: gauge(&mut registry, "connections", "Open connections of clients"),
            dropped: connections_dropped(&mut registry),
            outbox_bytes: gauge(&mut registry, "outbox_bytes", "Bytes that wait for slow clients"),
            registry,
            received,
            publishes,
            sends,
            limited,
            closes,
            http_answers,
            store,
            useful_share,
            watermark_lag,
            store_seconds,
            buckets_held,
            links,
        }
    }

    /// Sets what a store reports of its servers.
    pub fn show_store(&self, figures: &StoreFigures) {
        self.store.show(figures);
    }

    /// Counts a push of the bus.
    pub fn received(&self, what: Received) {
        self.received[what as usize].inc();
    }

    /// Counts publishes.
    pub fn publishes(&self, outcome: PublishOutcome, count: u64) {
        self.publishes[outcome as usize].inc_by(count);
    }

    /// Counts a send.
    pub fn sends(&self, outcome: SendOutcome) {
        self.sends[outcome as usize].inc();
    }

    /// Counts a decision of the limits.
    pub fn limited(&self, verdict: Limited) {
        self.limited[verdict as usize].inc();
    }

    /// Decisions of one kind so far.
    pub fn limited_so_far(&self, verdict: Limited) -> u64 {
        self.limited[verdict as usize].get()
    }

    /// Counts a session that the server closed.
    pub fn closes(&self, code: u16) {
        self.closes.get_or_create(&CloseLabels { code: code.into() }).inc();
    }

    /// Counts a connection that was dropped.
    pub fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].inc();
    }

    /// Connections that were dropped for one reason so far.
    pub fn dropped_so_far(&self, why: Dropped) -> u64 {
        self.dropped[why as usize].get()
    }

    /// Counts an answer of the HTTP API by the class of its status.
    pub fn http_answer(&self, status: u16) {
        let class = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        self.http_answers[class].inc();
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

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.useful_share.set(self.useful_share());
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

fn connections_dropped(registry: &mut Registry) -> [Counter; Dropped::ALL.len()] {
    let help = "Connections without a token that were dropped since places were taken";
    by(registry, "connections_dropped", help, "reason", Dropped::ALL.map(Dropped::name))
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// How long appends take: 16 buckets from 250 us on, each twice as long.
fn append_seconds(registry: &mut Registry) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
    let help = "Seconds from a send's id to its acknowledgement by the store";
    registry.register("store_append_seconds", help, histogram.clone());
    histogram
}

/// A gauge of a fraction, or of seconds.
fn fraction(registry: &mut Registry, name: &str, help: &str) -> FractionGauge {
    let gauge = FractionGauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// A gauge per value of one label.
fn gauges(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: [&'static str; 3],
) -> [Gauge; 3] {
    let family = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    let gauges = values.map(|value| family.get_or_create(&[(label, value)]).clone());
    registry.register(name, help, family);
    gauges
}

/// A counter per outcome, in the order of the enum's variants, looked up once.
fn by_outcome<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    outcomes: [&'static str; N],
) -> [Counter; N] {
    by(registry, name, help, "outcome", outcomes)
}

/// A counter per value of one label.
fn by<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
    let counters = values.map(|value| family.get_or_create(&[(label, value)]).clone());
    registry.register(name, help, family);
    counters
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
        metrics.show_store(&figures);
        metrics.show_store(&figures);
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
        assert!((metrics.useful_share() - 1.0).abs() < f64::EPSILON);
        metrics.received(Received::Useful);
        metrics.received(Received::Echo);
        metrics.received(Received::Wasted);
        metrics.received(Received::Lingering);
        metrics.received(Received::Wasted);
        assert_eq!(metrics.node_events(), 5);
        assert!((metrics.useful_share() - 0.25).abs() < f64::EPSILON);
        let text = metrics.render();
        assert!(text.contains("narrowcast_bus_received_total{outcome=\"wasted\"} 2"), "{text}");
        assert!(text.contains("narrowcast_bus_useful_share 0.25"), "{text}");
    }
}
