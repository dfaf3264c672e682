use super::*;
use crate::client::ResumeSeen;
use crate::domain::{MessageId, Micros};

const STRUCK: usize = 0;
const OTHER: usize = 1;

fn acked() -> SendOutcomeSeen {
    SendOutcomeSeen::Sent { id: MessageId::new(Micros(1), 0) }
}

fn resumed(reason: Option<&str>) -> ResumeSeen {
    let (gaps, reload) = (Vec::new(), Vec::new());
    let reason = reason.map(ToOwned::to_owned);
    ResumeSeen { resumed: reason.is_none(), reason, gaps, reload }
}

/// A session of the struck node and one of another, and one message to the first that came: what
/// they see of a fault if all is well.
fn storm() -> (StormLog, Instant) {
    let (mut log, begin) = (StormLog::new([Role::Struck, Role::Surviving]), Instant::now());
    for session in [STRUCK, OTHER] {
        log.connected();
        log.cursor(session, Some(resumed(Some("no_cursor"))), begin);
    }
    log.fault(begin);
    let message = log.sending(STRUCK, false, begin) as u64;
    log.answered(0, acked());
    log.lost(STRUCK, begin + Duration::from_secs(1));
    log.refused("closed by the node: 4100 overloaded");
    log.connected();
    log.arrived(STRUCK, message, false, begin + Duration::from_secs(2));
    (log, begin)
}

fn back(mut log: StormLog, begin: Instant) -> StormLog {
    log.cursor(STRUCK, Some(resumed(None)), begin + Duration::from_secs(3));
    log
}

fn judged(log: &StormLog) -> Vec<String> {
    failures(&comeback(log), &sends(log), false)
}

#[test]
fn a_storm_without_harm_has_no_failures() {
    let (log, begin) = storm();
    let log = back(log, begin);
    assert_eq!(judged(&log), Vec::<String>::new());
    let back = comeback(&log);
    assert_eq!((back.returned, back.connects, back.without_cursor), (1, 2, 0));
    assert_eq!(back.refusals["closed by the node: 4100 overloaded"], 1);
    assert!(back.to_cursor.max_us.abs_diff(3_000_000) < 3000, "{:?}", back.to_cursor);
    assert!(back.away.max_us.abs_diff(2_000_000) < 3000, "{:?}", back.away);
    let sends = sends(&log);
    assert_eq!((sends.sent, sends.acked, sends.delivered, sends.lost), (1, 1, 1, 0));
}

#[test]
fn a_session_that_never_resumes_is_named() {
    let (log, begin) = storm();
    let never = ["1 sessions have no cursor again (without_cursor)"];
    assert_eq!(judged(&log), never);
    let mut log = back(log, begin);
    log.lost(STRUCK, begin + Duration::from_secs(4));
    assert_eq!(judged(&log), never, "it was back, and was lost again");
    log.cursor(STRUCK, Some(resumed(Some("other_store"))), begin + Duration::from_secs(5));
    let why = "1 sessions came back and were not resumed: other_store (not_resumed)";
    assert_eq!(judged(&log), [why]);
}

#[test]
fn planted_faults_of_messages_are_named() {
    type Plant = fn(&mut StormLog);
    let plants: [(Plant, &str); 6] = [
        (|log| _ = log.sending(STRUCK, false, Instant::now()), "unknown"),
        (|log| log.messages[0].arrivals = 0, "lost"),
        (|log| log.arrived(STRUCK, 0, false, Instant::now()), "duplicate"),
        (|log| log.arrived(OTHER, 0, false, Instant::now()), "stray"),
        (|log| log.arrived(STRUCK, 7, false, Instant::now()), "stray"),
        (|log| log.lost(OTHER, Instant::now()), "closed"),
    ];
    for (plant, name) in plants {
        let (log, begin) = storm();
        let mut log = back(log, begin);
        plant(&mut log);
        let found = judged(&log);
        assert!(matches!(&found[..], [one] if one.ends_with(&format!("({name})"))), "{found:?}");
    }
    let (log, begin) = storm();
    let mut log = back(log, begin);
    let refused = SendOutcomeSeen::Refused { code: "unavailable".into(), message: String::new() };
    log.answered(0, refused);
    assert!(judged(&log)[0].ends_with("(refused)"), "{:?}", judged(&log));
    let struck = failures(&comeback(&log), &sends(&log), true);
    assert_eq!(struck, Vec::<String>::new(), "a node that starts may refuse its own sender");
}

#[test]
fn another_try_of_a_send_is_no_duplicate() {
    let (log, begin) = storm();
    let mut log = back(log, begin);
    log.arrived(STRUCK, 0, true, begin);
    assert_eq!((judged(&log), sends(&log).repeated), (Vec::new(), 1));
}

#[test]
fn probes_count_for_the_time_at_which_they_were_intended() {
    let (mut log, begin) = storm();
    let at = |seconds| begin + Duration::from_secs(seconds);
    for (intended, millis) in [(0, 1), (2, 500), (4, 2)] {
        let message = log.sending(OTHER, true, at(intended));
        log.arrived(OTHER, message as u64, false, at(intended) + Duration::from_millis(millis));
    }
    let found = bystander(&log, at(1), at(3));
    let max = [found.before.max_us, found.meanwhile.max_us, found.after.max_us];
    for (found, due) in max.into_iter().zip([1000, 500_000, 2000_u64]) {
        assert!(found.abs_diff(due) * 500 <= due, "{found} for {due}");
    }
}

#[test]
fn a_late_generator_judges_itself() {
    let late =
        |generator_lag_p99_us| GeneratorReport { generator_lag_p99_us, ..Default::default() };
    let (bound, failure) = (Duration::from_millis(100), ["1 lost".to_owned()]);
    assert_eq!(verdict(&failure, &late(100_001), bound), "generator saturated");
    assert_eq!(verdict(&failure, &late(1000), bound), "failed");
    assert_eq!(verdict(&[], &late(100_000), bound), "passed");
}
