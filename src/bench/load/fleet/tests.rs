//! What a session does about reads of history that a node refuses or its own queue has no room for.

use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::client::Keepalive;

/// A fleet whose first session has a connection with room for so many frames.
fn connected(
    room: usize,
    has_topics: bool,
) -> (LoadFleet, Receiver<String>, Receiver<&'static str>) {
    let run = LoadRun { comes_back: true, has_topics, ..LoadRun::small("ws://127.0.0.1:1/v1/ws") };
    let ledger = LoadLedger::new(run.population, std::time::Duration::from_secs(1), true);
    let mut fleet = LoadFleet::new(Arc::new(run), ledger);
    let ((frames, queue), (given_up, reasons)) = (mpsc::channel(room), mpsc::channel(1));
    let link = LoadLink { frames, given_up, keepalive: Keepalive::new(Instant::now()) };
    fleet.sessions[0].link = Some(link);
    (fleet, queue, reasons)
}

/// The next frame that is written, without waiting for one.
fn written(queue: &mut Receiver<String>) -> Option<Value> {
    queue.try_recv().ok().map(|text| serde_json::from_str(&text).unwrap())
}

const GAP: &str = r#"{"op":"cursor","cursor":"c","resumed":true,
    "gaps":[{"conversation":"dm.a.b","after":"x"}]}"#;

fn refusal(id: &Value, retry: &str) -> String {
    format!(r#"{{"op":"error","id":{id},"code":"rate_limited","detail":"slow",{retry}}}"#)
}

#[test]
fn a_refused_page_of_history_is_asked_for_again_when_the_node_says() {
    let (mut fleet, mut queue, _reasons) = connected(9, false);
    fleet.text(0, GAP);
    let asked = written(&mut queue).unwrap();
    assert_eq!((&asked["op"], &asked["after"]), (&json!("history"), &json!("x")));
    fleet.text(0, &refusal(&asked["id"], r#""retry":"later","retry_after_ms":0"#));
    fleet.tick();
    let again = written(&mut queue).unwrap();
    assert_eq!((&again["op"], &again["after"]), (&json!("history"), &json!("x")));
    fleet.text(0, &refusal(&again["id"], r#""retry":"later","retry_after_ms":3600000"#));
    fleet.tick();
    fleet.text(0, r#"{"op":"cursor","cursor":"d"}"#);
    assert_eq!(written(&mut queue), None, "it is not due");
    assert_eq!(fleet.sessions[0].unfilled.len(), 1);
}

#[test]
fn a_refused_page_of_the_inbox_is_asked_for_again() {
    let (mut fleet, mut queue, _reasons) = connected(9, false);
    fleet.text(0, r#"{"op":"cursor","cursor":"c","resumed":false,"reason":"too_old"}"#);
    let asked = written(&mut queue).unwrap();
    fleet.text(0, &refusal(&asked["id"], r#""retry":"later","retry_after_ms":0"#));
    fleet.tick();
    assert_eq!(written(&mut queue).unwrap()["op"], "inbox");
}

#[test]
fn a_page_that_is_refused_for_good_is_told() {
    let (mut fleet, mut queue, _reasons) = connected(9, false);
    fleet.text(0, GAP);
    let asked = written(&mut queue).unwrap();
    fleet.text(0, &refusal(&asked["id"], r#""retry":"never""#));
    fleet.tick();
    assert_eq!(written(&mut queue), None);
    let told = "history: session 0: refused: rate_limited: slow";
    assert_eq!(fleet.ledger.figures.words, [told]);
}

#[test]
fn what_the_generator_cannot_send_is_no_refusal_of_the_nodes() {
    let (mut fleet, _queue, _reasons) = connected(1, false);
    fleet.sessions[0].is_live = true;
    let action = LoadAction { kind: LoadKind::Dm, from: 0, peer: 1 };
    (0..3).for_each(|_| fleet.act(action, 0, true));
    let figures = &fleet.ledger.figures;
    assert_eq!((figures.unsent, figures.counts.of(LoadKind::Dm).refused), (2, 0));
    assert_eq!(figures.unanswered, 1);
    assert_eq!(figures.words[0], "unsent: too many frames wait at a socket of the generator");
}

#[test]
fn a_read_that_finds_the_queue_full_is_kept() {
    let (mut fleet, mut queue, _reasons) = connected(1, false);
    assert!(fleet.sessions[0].write("{}".into()));
    fleet.text(0, GAP);
    assert_eq!((fleet.sessions[0].unfilled.len(), fleet.rereads.len()), (1, 1));
    assert!(written(&mut queue).is_some());
    fleet.read_missed(0);
    assert_eq!(written(&mut queue).unwrap()["op"], "history");
}

#[test]
fn a_session_whose_topic_cannot_be_asked_for_takes_another_connection() {
    let (mut fleet, _queue, mut reasons) = connected(1, true);
    assert!(fleet.sessions[0].write("{}".into()));
    fleet.text(0, r#"{"op":"cursor","cursor":"c"}"#);
    assert_eq!(reasons.try_recv(), Ok("too many frames wait at its socket"));
}
