//! The judge of a storm: from what clients saw to a verdict. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::log::{MessageFacts, Role, StormLog};
use super::report::{BystanderReport, Comeback, GeneratorReport, SendsReport};
use crate::bench::latency::LatencyRecorder;
use crate::client::SendOutcomeSeen;

/// How the struck sessions came back.
pub(super) fn comeback(log: &StormLog) -> Comeback {
    let (mut to_cursor, mut away) = (LatencyRecorder::new(), LatencyRecorder::new());
    let mut not_resumed: BTreeMap<String, usize> = BTreeMap::new();
    for session in log.sessions.iter().filter(|session| session.role == Role::Struck) {
        if let (Some(fault), Some(lost), Some(back), true) =
            (log.fault_at, session.lost_at, session.back_at, session.is_back())
        {
            to_cursor.record(back.saturating_duration_since(fault));
            away.record(back.saturating_duration_since(lost));
        }
        if let Some(reason) = &session.not_resumed {
            *not_resumed.entry(reason.clone()).or_default() += 1;
        }
    }
    Comeback {
        to_cursor: to_cursor.percentiles(),
        away: away.percentiles(),
        returned: to_cursor.count() as usize,
        without_cursor: log.away(),
        not_resumed,
        closed: log.closed,
        connects: log.connects,
        refusals: log.refusals.clone(),
    }
}

/// The messages of all senders.
pub(super) fn sends(log: &StormLog) -> SendsReport {
    let of = |is_so: fn(&MessageFacts) -> bool| {
        log.messages.iter().filter(|message| is_so(message)).count()
    };
    let duplicate = |message: &MessageFacts| u64::from(message.arrivals.saturating_sub(1));
    SendsReport {
        sent: log.messages.len(),
        acked: of(MessageFacts::is_acked),
        unknown: of(|message| matches!(message.outcome, None | Some(SendOutcomeSeen::Unknown))),
        refused: of(|message| matches!(message.outcome, Some(SendOutcomeSeen::Refused { .. }))),
        delivered: of(|message| message.arrivals > 0),
        lost: log.lost_messages(),
        repeated: log.replaced,
        duplicate: log.messages.iter().map(duplicate).sum(),
        stray: log.stray,
    }
}

/// The bystanders' latencies around the fault and the time at which all sessions were back.
pub(super) fn bystander(log: &StormLog, fault: Instant, back: Instant) -> BystanderReport {
    let between = |from: Option<Instant>, to: Option<Instant>| {
        let mut latencies = LatencyRecorder::new();
        let is_in = |at: Instant| from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to);
        let probes = log.messages.iter().filter(|probe| probe.is_probe && is_in(probe.intended));
        probes.filter_map(|probe| probe.latency).for_each(|latency| latencies.record(latency));
        latencies.percentiles()
    };
    BystanderReport {
        before: between(None, Some(fault)),
        meanwhile: between(Some(fault), Some(back)),
        after: between(Some(back), None),
    }
}

/// Each bound that does not hold, in words. A node that ends or starts may refuse sends, and then the
/// outcome of an earlier try stays unknown: both count only if the senders were on another one.
pub(super) fn failures(
    comeback: &Comeback,
    sends: &SendsReport,
    are_senders_struck: bool,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut must_be_0 = |count: u64, what: &str| {
        if count > 0 {
            failures.push(format!("{count} {what}"));
        }
    };
    must_be_0(comeback.without_cursor as u64, "sessions have no cursor again (without_cursor)");
    for (reason, count) in &comeback.not_resumed {
        let what = format!("sessions came back and were not resumed: {reason} (not_resumed)");
        must_be_0(*count as u64, &what);
    }
    must_be_0(comeback.closed, "sessions of other nodes were lost (closed)");
    must_be_0(sends.lost as u64, "acknowledged messages did not come (lost)");
    must_be_0(sends.duplicate, "sends were shown twice (duplicate)");
    must_be_0(sends.stray, "messages came to sessions that they are not for (stray)");
    if !are_senders_struck {
        must_be_0(sends.unknown as u64, "sends have an unknown outcome (unknown)");
        must_be_0(sends.refused as u64, "sends were refused (refused)");
    }
    failures
}

/// The verdict. A generator that was late measured itself.
pub(super) fn verdict(
    failures: &[String],
    generator: &GeneratorReport,
    lag: Duration,
) -> &'static str {
    let late = generator.generator_lag_p99_us.max(generator.send_lag_p99_us);
    if Duration::from_micros(late) > lag {
        return "generator saturated";
    }
    if failures.is_empty() { "passed" } else { "failed" }
}

#[cfg(test)]
mod tests;
