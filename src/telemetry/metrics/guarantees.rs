//! Metrics of what delivery rests on: the time, the lease, the watermark, and the reads that repair.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::durations::DurationHistogram;
use super::registration::{FractionGauge, Label, metrics};

metrics! {
    /// What is known of the time.
    pub struct ClockMetrics {
        /// How far the machine's clock is ahead of the store's, as last measured.
        pub offset: FractionGauge = named("clock_offset_seconds");
        /// How wide the interval is that contains the store's time, after the last check.
        pub uncertainty: FractionGauge = named("clock_uncertainty_seconds");
        /// Store nodes whose clocks disagree with the others.
        pub apart: Gauge = named("clocks_apart");
        /// Whether the time is known.
        pub known: Gauge = named("clock_known");
        /// Ids seen too far ahead of the clock.
        pub refused: Counter = named("clock_refused");
    }

    /// What the node agent writes and reads.
    pub struct AgentMetrics {
        /// Whether /readyz says that the node is ready.
        pub ready: Gauge = named("ready");
        /// Leases that ran out.
        pub fences: Counter = named("fences");
        /// Heartbeats that were stored.
        pub heartbeats_written: Counter = named("heartbeats_written");
        /// Heartbeats not stored in time.
        pub heartbeats_failed: Counter = named("heartbeats_failed");
        /// Reads of the cluster table.
        pub cluster_reads: Counter = named("cluster_reads");
        /// Other live nodes with this node's name.
        pub namesakes: Gauge = named("nodes_of_same_name");
        /// Live nodes that serve, this one included.
        pub live_nodes: Gauge = named("live_nodes");
    }

    /// How far live delivery is proven.
    pub struct WatermarkMetrics {
        /// The watermark, in microseconds.
        pub micros: Gauge = named("watermark_micros");
        /// How far the watermark is behind the clock, NaN before the first.
        pub lag: FractionGauge = named("watermark_lag_seconds");
        /// Whether the watermark stands still: a shard connection broke, the cluster table is not
        /// read, or the time is not known.
        pub frozen: Gauge = named("watermark_frozen");
        /// Gaps that froze the watermark.
        gaps: Family<Label, Counter> = named("delivery_gaps");
    }

    /// What reads of the store find for sessions.
    pub struct RecoveryMetrics {
        /// Rounds of reads for all sessions here.
        pub rounds: [Counter; 2] = labelled("recovery_rounds", "kind", ["repair", "pull"]);
        /// Messages delivered by rounds that had not come live.
        pub repaired: [Counter; 2] = labelled("recovered_messages", "kind", ["repair", "pull"]);
        /// Reads of resumes, rounds and audits.
        pub reads: Counter = named("recovery_reads");
        /// Messages delivered by resumes.
        pub resumed_messages: Counter = named("resumed_messages");
        /// Messages below the watermark, not delivered.
        pub audit_found: Counter = named("audit_found");
        /// The same for sends of unknown outcome, or those that died with their node.
        pub audit_unknown: Counter = named("audit_unknown");
        /// Reads a second that the node may make at most.
        pub read_rates: [FractionGauge; 3] =
            labelled("recovery_reads_per_second_max", "kind", ["repair", "resume", "audit"]);
        /// Seconds from a `hello` to its first `cursor`.
        pub hello_to_cursor: DurationHistogram = named("hello_to_cursor_seconds");
        /// Sessions by what their `hello` resumed from.
        resumes: Family<Label, Counter> = named("resumes");
    }
}

impl RecoveryMetrics {
    /// Counts a session that has caught up.
    pub fn resumed(&self, outcome: &'static str) {
        self.resumes.get_or_create(&[("outcome", outcome)]).inc();
    }
}

impl WatermarkMetrics {
    /// Makes the counters of these causes, so that they are shown at zero.
    pub fn show_gaps(&self, causes: impl IntoIterator<Item = &'static str>) {
        causes.into_iter().for_each(|cause| drop(self.gaps(cause)));
    }

    /// Returns the counter of the delivery gaps of one cause.
    pub fn gaps(&self, cause: &'static str) -> Counter {
        self.gaps.get_or_create_owned(&[("cause", cause)])
    }
}
