use super::*;
use crate::client::device::events::{GapSeen, ResumeSeen};
use crate::domain::{MessageId, Micros};

fn plan() -> DeviceOptions {
    DeviceOptions::new(vec!["ws://127.0.0.1:1/v1/ws".into()], "t".into(), "phone".into())
}

fn ready(machine: &mut DeviceState, now: Instant) {
    let frame = json!({
        "op": "ready", "node": "n1", "ping_ms": 25_000, "limits": {"sends_in_flight": 16},
    });
    machine.text(&frame.to_string(), now);
}

/// A device in its first session, with what it wrote and what was seen of that taken away.
fn open(plan: DeviceOptions, now: Instant) -> DeviceState {
    let mut machine = DeviceState::new(plan, now);
    assert!(machine.calls(now));
    machine.connected(now);
    assert_eq!(read(machine.write())["op"], "hello");
    ready(&mut machine, now);
    assert_eq!(machine.next_seen(), Some(Seen::Connected { node: "n1".into() }));
    machine
}

fn read(frame: Option<String>) -> Value {
    serde_json::from_str(&frame.expect("a frame")).unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId::new(Micros(number), 0)
}

fn message(number: u64, dedup: &str) -> Value {
    json!({
        "id": id(number).to_string(), "conversation": "dm.alice.bob", "from": "alice",
        "dedup": dedup, "body": number, "sent_at": 0,
    })
}

fn deliver(machine: &mut DeviceState, number: u64, now: Instant) {
    let frame = json!({"op": "message", "message": message(number, &format!("a-{number}"))});
    machine.text(&frame.to_string(), now);
}

fn seen(machine: &mut DeviceState) -> Vec<Seen> {
    std::iter::from_fn(|| machine.next_seen()).collect()
}

fn closed(code: u16) -> ConnectionLoss {
    ConnectionLoss::Closed { code, reason: "because".into() }
}

#[test]
fn resumes_from_the_newest_cursor_that_it_was_given() {
    let now = Instant::now();
    let mut machine =
        DeviceState::new(DeviceOptions { subscribe: vec!["topic.x".into()], ..plan() }, now);
    assert!(machine.calls(now) && !machine.calls(now), "one connection is made");
    machine.connected(now);
    let hello = json!({"op": "hello", "token": "t", "device": "phone", "client": CLIENT, "subscribe": ["topic.x"]});
    assert_eq!(read(machine.write()), hello);
    ready(&mut machine, now);
    for given in ["one", "two"] {
        machine.text(&json!({"op": "cursor", "cursor": given}).to_string(), now);
    }
    machine.lost(closed(4200), now);
    assert!(machine.calls(now), "at once");
    machine.connected(now);
    assert_eq!(read(machine.write())["cursor"], "two");
}

#[test]
fn tells_of_attempts_that_are_tried_again() {
    let now = Instant::now();
    let mut machine = DeviceState::new(plan(), now);
    assert!(machine.calls(now));
    machine.failed(&ClientError::Timeout(Duration::from_secs(10)), now);
    let refused = |why: &str| Seen::Refused { why: why.into() };
    assert_eq!(seen(&mut machine), [refused("no answer within 10 s")]);
    let later = now + Duration::from_secs(1);
    assert!(machine.calls(later));
    machine.connected(later);
    machine.lost(closed(4103), later);
    assert_eq!(seen(&mut machine), [refused("closed by the node: 4103 because")]);
    machine.lost(ConnectionLoss::Left, later);
    assert_eq!(seen(&mut machine), [], "the application asked for it");
    let much_later = later + Duration::from_secs(1);
    assert!(machine.calls(much_later));
    machine.connected(much_later);
    machine.lost(closed(4001), much_later);
    assert_eq!(seen(&mut machine), [], "the end is told as an error");
    assert!(machine.end().is_some());
}

#[test]
fn tells_what_is_missing() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    for frame in [
        r#"{"op":"cursor","cursor":"x","resumed":true,"gaps":[{"conversation":"dm.a.b","after":"y"}],"reload":["inbox"]}"#,
        r#"{"op":"cursor","cursor":"x","resumed":false,"reason":"expired","gaps":[],"reload":["inbox","history"]}"#,
        r#"{"op":"cursor","cursor":"x"}"#,
    ] {
        machine.text(frame, now);
    }
    let gap = GapSeen { conversation: "dm.a.b".into(), after: "y".into(), before: None };
    let resumed =
        ResumeSeen { resumed: true, reason: None, gaps: vec![gap], reload: vec!["inbox".into()] };
    let not = ResumeSeen {
        resumed: false,
        reason: Some("expired".into()),
        gaps: vec![],
        reload: vec!["inbox".into(), "history".into()],
    };
    let told = [Some(resumed), Some(not), None].map(|resume| Seen::Cursor { resume });
    assert_eq!(seen(&mut machine), told);
}

#[test]
fn shows_a_message_once_over_all_connections() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    deliver(&mut machine, 5, now);
    assert_eq!(seen(&mut machine).len(), 1);
    machine.lost(closed(4200), now);
    assert!(machine.calls(now));
    machine.connected(now);
    ready(&mut machine, now);
    deliver(&mut machine, 5, now);
    let shown = seen(&mut machine);
    assert!(matches!(shown[..], [Seen::Lost { .. }, Seen::Connected { .. }]), "{shown:?}");
    assert_eq!(machine.repeats(), 1);
}

#[test]
fn sends_say_what_was_seen_and_are_not_shown_as_messages() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    deliver(&mut machine, 5, now);
    deliver(&mut machine, 3, now);
    seen(&mut machine);
    let nonce = machine.send("user.bob", json!("Hi")).unwrap();
    let frame = read(machine.write());
    assert_eq!(frame["seen"], id(5).to_string());
    let sent = json!({
        "op": "sent", "id": frame["id"], "nonce": nonce.as_str(), "message": message(9, "d"),
    });
    machine.text(&sent.to_string(), now);
    let copy = json!({"op": "message", "message": message(9, "d")});
    machine.text(&copy.to_string(), now);
    let outcome = SendOutcomeSeen::Sent { id: id(9) };
    assert_eq!(seen(&mut machine), [Seen::Answered { nonce, outcome }]);
}

#[test]
fn nothing_is_sent_before_the_session_is_ready() {
    let now = Instant::now();
    let mut machine = DeviceState::new(plan(), now);
    machine.send("user.bob", json!("Hi")).unwrap();
    assert!(machine.calls(now));
    machine.connected(now);
    assert_eq!(read(machine.write())["op"], "hello");
    assert_eq!(machine.write(), None);
    ready(&mut machine, now);
    assert_eq!(read(machine.write())["op"], "send");
}

#[test]
fn an_unanswered_send_is_tried_again_or_unknown() {
    let now = Instant::now();
    for resend in [true, false] {
        let mut machine = open(DeviceOptions { resend, ..plan() }, now);
        let nonce = machine.send("user.bob", json!("Hi")).unwrap();
        machine.write();
        machine.lost(closed(4200), now);
        let unknown = Seen::Answered { nonce: nonce.clone(), outcome: SendOutcomeSeen::Unknown };
        assert_eq!(seen(&mut machine).contains(&unknown), !resend);
        assert!(machine.calls(now));
        machine.connected(now);
        ready(&mut machine, now);
        assert_eq!(read(machine.write())["op"], "hello");
        let again = machine.write().map(|frame| read(Some(frame)));
        let expected = resend.then(|| json!(nonce.as_str()));
        assert_eq!(again.map(|frame| frame["nonce"].clone()), expected);
    }
}

#[test]
fn a_refusal_is_an_answer() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    let nonce = machine.send("user.bob", json!("Hi")).unwrap();
    let id = read(machine.write())["id"].clone();
    let error =
        json!({"op": "error", "id": id, "code": "too_large", "detail": "no", "retry": "never"});
    machine.text(&error.to_string(), now);
    let outcome = SendOutcomeSeen::Refused { code: "too_large".into(), message: "no".into() };
    assert_eq!(seen(&mut machine), [Seen::Answered { nonce, outcome }]);
}

#[test]
fn stops_where_coming_back_is_of_no_use() {
    let now = Instant::now();
    let mut machine = DeviceState::new(plan(), now);
    let nonce = machine.send("user.bob", json!("Hi")).unwrap();
    assert!(machine.calls(now));
    machine.connected(now);
    let error = r#"{"op":"error","code":"unauthorized","detail":"hello: old","retry":"never"}"#;
    machine.text(error, now);
    machine.lost(closed(4001), now);
    assert_eq!(seen(&mut machine), [Seen::Answered { nonce, outcome: SendOutcomeSeen::Unknown }]);
    let end = machine.end().expect("it is the end").to_string();
    assert_eq!(end, "closed by the node: 4001 hello: old");
    machine.lost(ConnectionLoss::Left, now);
    assert!(!machine.calls(now + Duration::from_hours(1)) && machine.due().is_none());
}

#[test]
fn waits_after_a_failure() {
    let now = Instant::now();
    let mut machine = DeviceState::new(plan(), now);
    assert!(machine.calls(now));
    machine.failed(&ClientError::Timeout(Duration::from_secs(10)), now);
    assert!(!machine.calls(now));
    let due = machine.due().expect("it comes back");
    assert!(due > now && machine.calls(due));
    let refused = Seen::Refused { why: "no answer within 10 s".into() };
    assert_eq!(seen(&mut machine), [refused], "there was no session to lose");
}

#[test]
fn a_silent_node_is_asked_and_then_left() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    let due = machine.due().unwrap();
    machine.tick(due);
    assert_eq!(read(machine.write()), json!({"op": "ping"}));
    machine.text(r#"{"op":"pong","time":1}"#, due);
    machine.tick(machine.due().unwrap());
    assert!(machine.is_up() && machine.write().is_some());
    machine.tick(machine.due().unwrap());
    assert!(!machine.is_up());
    assert!(matches!(seen(&mut machine)[..], [Seen::Lost { .. }]));
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    let now = Instant::now();
    let mut machine = open(plan(), now);
    machine.text(r#"{"op":"message","message":{}}"#, now);
    assert!(!machine.is_up());
    assert!(matches!(&seen(&mut machine)[..], [Seen::Lost { why }] if why.contains("message:")));
}
