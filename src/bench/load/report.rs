//! The report of a load, by the names of the reports of `scripts/k6`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::costs::LoadCosts;
use super::counts::{LoadCounts, SessionCounts};
use super::ledger::LoadFigures;
use super::mix::LoadKind;
use super::seconds::LoadSecond;
use super::verdict::{GeneratorLags, LoadVerdict};
use crate::bench::latency::LatencyPercentiles;

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct LoadSettings {
    /// `load`.
    pub script: &'static str,
    /// `open`, where latency counts from the intended time, or `closed`, where it counts from the
    /// send: a node that stalls is then asked for less, and looks better than it is.
    #[serde(rename = "loop")]
    pub form: &'static str,
    /// Kinds and their weights.
    pub mix: String,
    /// Sessions.
    pub sockets: u32,
    /// Requests a second, in an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Requests that are unanswered at a time, in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// When the load began, behind the warm-up, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// How long the load lasted.
    pub duration_ms: u64,
}

/// What came of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct LoadKindReport {
    /// Its counts.
    #[serde(flatten)]
    pub counts: LoadCounts,
    /// From the intended time to a delivery; to the answer where nothing is delivered.
    #[serde(flatten)]
    pub latencies: LatencyPercentiles,
    /// The 99th percentile of the time to the answer.
    pub answer_p99_us: u64,
}

/// The generator's own lags, and what it could not send.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LoadLags {
    /// The 99th percentile of how late its timers are.
    pub generator_lag_p99_us: u64,
    /// That of the time from the intended time of a send to the send; 0 in a closed loop.
    pub send_lag_p99_us: u64,
    /// Requests that a queue of the generator had no room for: no node saw them.
    pub unsent: u64,
}

/// The report.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// The verdict.
    pub verdict: LoadVerdict,
    /// Each bound that does not hold, in words.
    pub failures: Vec<String>,
    /// The first faults, each in words.
    pub first_faults: Vec<String>,
    /// What was asked for.
    #[serde(flatten)]
    pub settings: LoadSettings,
    /// Counts of messages and events.
    #[serde(flatten)]
    pub counts: LoadCounts,
    /// What happened to the sessions.
    #[serde(flatten)]
    pub sessions: SessionCounts,
    /// From the intended time to a delivery.
    #[serde(flatten)]
    pub latencies: LatencyPercentiles,
    /// The generator's own lags.
    #[serde(flatten)]
    pub lags: LoadLags,
    /// What it cost.
    pub costs: LoadCosts,
    /// The same by kind.
    pub kinds: BTreeMap<&'static str, LoadKindReport>,
    /// Each second of it.
    pub seconds: Vec<LoadSecond>,
    /// Latency in µs by percentile, for its picture.
    #[serde(skip)]
    pub curve: Vec<(f64, f64)>,
}

impl LoadReport {
    pub(super) fn new(
        settings: LoadSettings,
        (verdict, failures): (LoadVerdict, Vec<String>),
        figures: &LoadFigures,
        lags: &GeneratorLags,
        (costs, seconds): (LoadCosts, Vec<LoadSecond>),
    ) -> Self {
        const P99: f64 = 0.99;
        let kinds = LoadKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| figures.counts.of(*kind) != &LoadCounts::default());
        Self {
            verdict,
            failures,
            first_faults: figures.words.clone(),
            settings,
            counts: figures.counts.delivered_kinds(),
            sessions: figures.sessions,
            latencies: figures.all.percentiles(),
            lags: LoadLags {
                generator_lag_p99_us: lags.ticks.quantile_us(P99),
                send_lag_p99_us: lags.sends.quantile_us(P99),
                unsent: figures.unsent,
            },
            costs,
            kinds: kinds.map(|kind| (kind.name(), kind_report(figures, kind))).collect(),
            seconds,
            curve: figures.all.curve(),
        }
    }

    /// For a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline(), KindLine::header()];
        lines.extend(self.kinds.iter().map(|(name, kind)| KindLine::of(name, kind)));
        lines.extend(self.cost_lines());
        lines.extend(self.first_faults.iter().map(|fault| format!("fault: {fault}")));
        lines.extend(self.failures.iter().map(|failure| format!("bound: {failure}")));
        lines.push(format!("verdict: {}", self.verdict.words()));
        lines
    }

    /// What was asked for, in words.
    pub(super) fn headline(&self) -> String {
        let LoadSettings { mix, sockets, rate, in_flight, duration_ms, .. } = &self.settings;
        let form = match (rate, in_flight) {
            (Some(rate), _) => {
                format!("open loop, {rate} a second, latency from the intended time")
            }
            (None, in_flight) => format!(
                "closed loop, {} at a time, latency from the send: not that of an open loop",
                in_flight.unwrap_or_default()
            ),
        };
        let seconds = *duration_ms as f64 / 1000.0;
        format!("{form}; {mix}; {sockets} sockets, {seconds} s")
    }

    fn cost_lines(&self) -> Vec<String> {
        let LoadLags { generator_lag_p99_us, send_lag_p99_us, unsent } = self.lags;
        let SessionCounts { closed, reconnects, recovered, missed } = self.sessions;
        let LoadCosts { generator_cpu_s, redis_cpu_s, generator_share, processes, .. } =
            &self.costs;
        let mut lines = vec![format!(
            "sockets: closed {closed}, reconnects {reconnects}, recovered {recovered}, \
             missed events {missed}"
        )];
        let micros = |seconds: f64| seconds * 1e6 / self.counts.delivered.max(1) as f64;
        let cpu = |label: &str, cpu_s: f64| {
            format!("{label}: {cpu_s:.2} s CPU, {:.1} us a delivery", micros(cpu_s))
        };
        lines.extend(processes.iter().map(|process| {
            let memory = process.rss_bytes / (1 << 20);
            format!("{}, {memory} MiB", cpu(&process.label, process.cpu_s))
        }));
        lines.extend(redis_cpu_s.map(|cpu_s| cpu("redis", cpu_s)));
        let share = generator_share.map(|share| format!(", {share:.2} of the servers'"));
        lines.push(format!(
            "{}{}; p99 of its lags: timers {:.1} ms, sends {:.1} ms; unsent {unsent}",
            cpu("generator", *generator_cpu_s),
            share.unwrap_or_default(),
            generator_lag_p99_us as f64 / 1000.0,
            send_lag_p99_us as f64 / 1000.0,
        ));
        lines
    }
}

fn kind_report(figures: &LoadFigures, kind: LoadKind) -> LoadKindReport {
    let latencies = &figures.latencies[kind.index()];
    let answer = latencies.answer.percentiles();
    let shown = if kind.is_delivered() { latencies.delivery.percentiles() } else { answer };
    let counts = *figures.counts.of(kind);
    LoadKindReport { counts, latencies: shown, answer_p99_us: answer.p99_us }
}

/// A line of the table of kinds.
struct KindLine;

impl KindLine {
    fn header() -> String {
        let names =
            ["sent", "acked", "delivered", "lost", "p50 ms", "p90 ms", "p99 ms", "p99.9", "max"];
        let names = names.map(|name| format!("{name:>10}"));
        format!("{:<8}{}", "kind", names.concat())
    }

    fn of(name: &str, kind: &LoadKindReport) -> String {
        let LoadCounts { sent, acked, delivered, lost, .. } = kind.counts;
        let LatencyPercentiles { p50_us, p90_us, p99_us, p999_us, max_us, .. } = kind.latencies;
        let counts = [sent, acked, delivered, lost].map(|count| format!("{count:>10}"));
        let times = [p50_us, p90_us, p99_us, p999_us, max_us]
            .map(|us| format!("{:>10.2}", us as f64 / 1000.0));
        format!("{name:<8}{}{}", counts.concat(), times.concat())
    }
}
