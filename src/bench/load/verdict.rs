//! Whether a load passed.

use std::time::Duration;

use serde::Serialize;

use super::counts::LoadCounts;
use super::ledger::LoadFigures;
use super::mix::LoadKind;
use crate::bench::latency::LatencyRecorder;

/// Bounds of a load.
#[derive(Debug, Clone, Copy)]
pub struct LoadBounds {
    /// Of the 99th percentile of latency.
    pub p99: Duration,
    /// From where on a delivery counts as late.
    pub late: Duration,
    /// Of the 99th percentile of the generator's own lags.
    pub lag: Duration,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LoadVerdict {
    /// All bounds hold.
    #[serde(rename = "passed")]
    Passed,
    /// A bound does not hold.
    #[serde(rename = "failed")]
    Failed,
    /// The generator was late by itself or could not send, so its figures say nothing of the nodes.
    #[serde(rename = "generator saturated")]
    Saturated,
}

impl LoadVerdict {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Saturated => "generator saturated",
        }
    }
}

/// The generator's own lags.
#[derive(Debug, Clone)]
pub(super) struct GeneratorLags {
    /// How late its timers are.
    pub(super) ticks: LatencyRecorder,
    /// From the intended time of a send to the send; nothing in a closed loop.
    pub(super) sends: LatencyRecorder,
}

/// What is judged.
pub(super) struct LoadEvidence<'a> {
    pub(super) figures: &'a LoadFigures,
    pub(super) lags: &'a GeneratorLags,
    pub(super) bounds: &'a LoadBounds,
    pub(super) comes_back: bool,
    /// Why the load was ended early.
    pub(super) ended_early: Option<&'a str>,
}

const P99: f64 = 0.99;

/// A percentile beyond its bound, in words.
fn beyond(name: &str, latencies: &LatencyRecorder, bound: Duration) -> Option<String> {
    let found = latencies.quantile_us(P99) as f64 / 1000.0;
    let bound = bound.as_secs_f64() * 1000.0;
    (found > bound).then(|| format!("p(99) of {name}: {found} ms, at most {bound} ms"))
}

fn beyond_zero(name: &str, found: u64) -> Option<String> {
    (found > 0).then(|| format!("{name}: {found}, at most 0"))
}

impl LoadEvidence<'_> {
    /// The verdict, and each bound that does not hold.
    pub(super) fn judge(&self) -> (LoadVerdict, Vec<String>) {
        let lag = self.bounds.lag;
        let mut failures: Vec<_> = beyond("generator_lag", &self.lags.ticks, lag)
            .into_iter()
            .chain(beyond("send_lag", &self.lags.sends, lag))
            .chain(beyond_zero("unsent by the generator", self.figures.unsent))
            .collect();
        let is_saturated = !failures.is_empty();
        failures.extend(self.ended_early.map(ToOwned::to_owned));
        self.faults(&mut failures);
        let verdict = match (is_saturated, failures.is_empty()) {
            (true, _) => LoadVerdict::Saturated,
            (false, true) => LoadVerdict::Passed,
            (false, false) => LoadVerdict::Failed,
        };
        (verdict, failures)
    }

    fn faults(&self, failures: &mut Vec<String>) {
        let LoadEvidence { figures, bounds, comes_back, .. } = self;
        let all = figures.counts.delivered_kinds();
        let events = figures.counts.of(LoadKind::Topic);
        // An event has no nonce, so it is not tried again when its connection ends.
        let untried = if *comes_back { *events } else { LoadCounts::default() };
        let kind = |kind: LoadKind| figures.counts.of(kind);
        let others = [LoadKind::History, LoadKind::Join];
        failures.extend(beyond_zero("lost", all.lost));
        failures.extend(beyond_zero("duplicate", all.duplicate));
        failures.extend(beyond_zero("out_of_order", all.out_of_order));
        failures.extend(beyond_zero("stray", all.stray));
        failures.extend(beyond_zero("unknown", all.unknown - untried.unknown));
        failures.extend(beyond_zero("refused by nodes", all.refused - untried.refused));
        for other in others {
            failures.extend(beyond_zero(&format!("{} unknown", other.name()), kind(other).unknown));
            failures.extend(beyond_zero(
                &format!("{} refused by nodes", other.name()),
                kind(other).refused,
            ));
        }
        if !comes_back {
            failures.extend(beyond_zero("repeated", all.repeated));
            failures.extend(beyond_zero("closed", figures.sessions.closed));
        }
        if LoadKind::ALL.into_iter().all(|any| kind(any).acked == 0) {
            failures.push("acked: 0, at least 1".into());
        }
        failures.extend(beyond("latency", &figures.all, bounds.p99));
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::LoadLedger;
    use super::super::population::LoadPopulation;
    use super::*;

    /// The verdict and the first bound that does not hold, of a load with such counts of messages.
    fn judged(refused: u64, unsent: u64) -> (LoadVerdict, String) {
        let population =
            LoadPopulation { users: 2, devices: 1, room_members: 2, topic_watchers: 2 };
        let second = Duration::from_secs(1);
        let mut ledger = LoadLedger::new(population, second, false);
        let counts = ledger.figures.counts.of_mut(LoadKind::Dm);
        (counts.acked, counts.refused) = (1, refused);
        ledger.figures.unsent = unsent;
        let lags = GeneratorLags { ticks: LatencyRecorder::new(), sends: LatencyRecorder::new() };
        let evidence = LoadEvidence {
            figures: &ledger.figures,
            lags: &lags,
            bounds: &LoadBounds { p99: second, late: second, lag: second },
            comes_back: false,
            ended_early: None,
        };
        let (verdict, failures) = evidence.judge();
        (verdict, failures.into_iter().next().unwrap_or_default())
    }

    #[test]
    fn refusals_of_nodes_and_a_full_queue_of_the_generator_are_told_apart() {
        assert_eq!(judged(0, 0), (LoadVerdict::Passed, String::new()));
        let by_nodes = "refused by nodes: 3, at most 0".to_owned();
        assert_eq!(judged(3, 0), (LoadVerdict::Failed, by_nodes));
        let by_generator = "unsent by the generator: 2, at most 0".to_owned();
        assert_eq!(judged(3, 2), (LoadVerdict::Saturated, by_generator));
    }
}
