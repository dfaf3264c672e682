//! What a storm came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::StormFault;
use crate::bench::latency::LatencyPercentiles;

/// What a storm came to, as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct StormReport {
    /// `passed`, `failed` or `generator saturated`.
    pub verdict: &'static str,
    /// Each bound that does not hold, in words.
    pub failures: Vec<String>,
    /// What was measured.
    #[serde(flatten)]
    pub size: StormSize,
    /// How the sessions came back.
    #[serde(flatten)]
    pub comeback: Comeback,
    /// What the nodes that serve after the fault did for it.
    #[serde(flatten)]
    pub nodes: NodesReport,
    /// Direct messages between two users of a node that is not struck.
    pub bystander: BystanderReport,
    /// Messages, the bystanders' included.
    #[serde(flatten)]
    pub sends: SendsReport,
    /// How late the load generator was, and what it used.
    #[serde(flatten)]
    pub generator: GeneratorReport,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct StormSize {
    /// What ended the first node.
    pub fault: StormFault,
    /// Nodes.
    pub nodes: usize,
    /// Sessions on all nodes.
    pub sessions: usize,
    /// Sessions of the node that was struck.
    pub stormed: usize,
}

/// How the sessions of the struck node came back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comeback {
    /// From the fault until a session had a cursor again.
    pub to_cursor: LatencyPercentiles,
    /// From the end of its connection until a session had a cursor again.
    pub away: LatencyPercentiles,
    /// Sessions that came back.
    pub returned: usize,
    /// Sessions that did not in the time that they had.
    pub without_cursor: usize,
    /// Sessions that came back, and whose cursor was not resumed from, by reason.
    pub not_resumed: BTreeMap<String, usize>,
    /// Sessions of other nodes that were lost.
    pub closed: u64,
    /// Connections tried.
    pub connects: u64,
    /// Those that became no session, by the reason that the client was given.
    pub refusals: BTreeMap<String, u64>,
}

/// What the nodes did that serve after the fault, until all sessions were back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NodesReport {
    /// Reads of resumes, rounds and audits, as the nodes count them.
    pub recovery_reads: u64,
    /// Reads of a CQL store, by statement.
    pub store_reads: BTreeMap<String, u64>,
    /// Reads per session that came back.
    pub reads_per_session: f64,
    /// All reads a second before the fault.
    pub quiet_reads_per_s: f64,
    /// Connections that were dropped before their `hello`, by reason.
    pub handshakes_dropped: BTreeMap<String, u64>,
    /// Sessions that the nodes closed, by close code.
    pub closes: BTreeMap<String, u64>,
    /// Their CPU time from the fault until all were back; none of nodes that others run.
    pub servers_cpu_s: Option<f64>,
}

/// Direct messages between two users, by when they were intended: from then to the delivery.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct BystanderReport {
    /// Before the fault.
    pub before: LatencyPercentiles,
    /// Until all sessions were back.
    pub meanwhile: LatencyPercentiles,
    /// Afterwards.
    pub after: LatencyPercentiles,
}

/// Messages, by the names of the reports of `scripts/k6`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SendsReport {
    /// Sends.
    pub sent: usize,
    /// Acknowledged ones.
    pub acked: usize,
    /// Those whose outcome stays unknown.
    pub unknown: usize,
    /// Refused ones.
    pub refused: usize,
    /// First deliveries.
    pub delivered: usize,
    /// Acknowledged ones that did not come.
    pub lost: usize,
    /// Messages that a client showed in place of an earlier try of the same send.
    pub repeated: u64,
    /// One send that was shown twice.
    pub duplicate: u64,
    /// Deliveries to a session that they are not for.
    pub stray: u64,
}

/// How late the load generator was, and what it used.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct GeneratorReport {
    /// How late its timers were, 99th percentile, from the fault until all were back.
    pub generator_lag_p99_us: u64,
    /// How late its sends were.
    pub send_lag_p99_us: u64,
    /// Its CPU time from the fault until all were back.
    pub generator_cpu_s: f64,
}

impl StormReport {
    /// The report for people.
    pub fn lines(&self) -> Vec<String> {
        let Self { size, comeback, nodes, bystander, sends, generator, .. } = self;
        let StormSize { fault, nodes: count, sessions, stormed } = size;
        let mut lines = vec![
            format!("{fault}: the first of {count} nodes, with {stormed} of {sessions} sessions"),
            format!("cursor again after the fault     {}", seconds(&comeback.to_cursor)),
            format!("cursor again after its loss      {}", seconds(&comeback.away)),
            format!(
                "returned {}, without cursor {}, not resumed {}, closed elsewhere {}",
                comeback.returned,
                comeback.without_cursor,
                named(&comeback.not_resumed),
                comeback.closed
            ),
            format!("connects {}, refused {}", comeback.connects, named(&comeback.refusals)),
            format!(
                "dropped by the nodes {}, closed {}",
                named(&nodes.handshakes_dropped),
                named(&nodes.closes)
            ),
            format!(
                "reads {:.2} a session, {} of them recovery's; quiet {:.1}/s",
                nodes.reads_per_session, nodes.recovery_reads, nodes.quiet_reads_per_s
            ),
        ];
        if !nodes.store_reads.is_empty() {
            lines.push(format!("reads by statement {}", named(&nodes.store_reads)));
        }
        let BystanderReport { before, meanwhile, after } = bystander;
        lines.extend([
            format!("bystander before                 {}", millis(before)),
            format!("bystander meanwhile              {}", millis(meanwhile)),
            format!("bystander after                  {}", millis(after)),
            format!(
                "sent {}, acked {}, unknown {}, refused {}, delivered {}, lost {}, repeated {}, \
                 duplicate {}, stray {}",
                sends.sent,
                sends.acked,
                sends.unknown,
                sends.refused,
                sends.delivered,
                sends.lost,
                sends.repeated,
                sends.duplicate,
                sends.stray
            ),
            format!(
                "CPU: generator {:.2} s, nodes {}; generator late p99 {:.1} ms, sends {:.1} ms",
                generator.generator_cpu_s,
                nodes.servers_cpu_s.map_or_else(|| "unknown".into(), |cpu| format!("{cpu:.2} s")),
                ms(generator.generator_lag_p99_us),
                ms(generator.send_lag_p99_us)
            ),
            format!("verdict: {}", self.verdict),
        ]);
        lines
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn seconds(times: &LatencyPercentiles) -> String {
    let [p50, p99, max] = [times.p50_us, times.p99_us, times.max_us].map(|us| us as f64 / 1e6);
    format!("p50 {p50:.2} s, p99 {p99:.2} s, max {max:.2} s")
}

fn millis(times: &LatencyPercentiles) -> String {
    let [p50, p99, max] = [times.p50_us, times.p99_us, times.max_us].map(ms);
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")
}

/// Counts by name, in one line.
fn named(counts: &BTreeMap<String, impl std::fmt::Display>) -> String {
    let counts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name}={count}")).collect();
    if counts.is_empty() { "0".into() } else { counts.join(" ") }
}
