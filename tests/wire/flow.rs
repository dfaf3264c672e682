//! A session that asks for more than it may have at a time is held back, in order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::raw::{Raw, text};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// A send with the number as its id and its body.
fn send(number: u64) -> Value {
    json!({"op": "send", "id": number, "conversation": "user.bob", "body": number})
}

fn packet(frames: impl IntoIterator<Item = Value>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| text(&frame.to_string())).collect()
}

/// The next so many replies.
async fn replies(raw: &mut Raw, count: usize) -> Vec<Value> {
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(raw.receive_json().await);
    }
    replies
}

/// What the naive loop of a newcomer does.
#[tokio::test]
async fn five_hundred_sends_at_once_all_arrive_in_order_at_the_rate() {
    let keys = [
        ("RATES__LIMIT_USERS", "true"),
        ("RATES__SEND_BURST", "100"),
        ("RATES__SENDS_PER_S", "200"),
    ];
    for workers in WORKERS {
        let demo = node_with(workers, &keys);
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        let begun = Instant::now();
        raw.send(&packet((0..500).map(send))).await;
        let mut sent = replies(&mut raw, 500).await;
        let took = begun.elapsed();
        sent.sort_by_key(|reply| reply["message"]["id"].as_str().map(str::to_owned));
        for (number, reply) in sent.iter().enumerate() {
            assert_eq!((&reply["op"], &reply["id"]), (&json!("sent"), &json!(number)), "{reply}");
        }
        assert!(took >= Duration::from_millis(1950), "400 at 200 a second took {took:?}");
    }
}

/// One send a second, so that all but the first are held back for the length of the test.
const SLOW_SENDS: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__SEND_BURST", "1"), ("RATES__SENDS_PER_S", "1")];

#[tokio::test]
async fn what_controls_the_session_and_marks_and_reads_go_ahead_of_sends_that_are_held() {
    let demo = node_with("1", &[&SLOW_SENDS[..], &[("LIMITS__SENDS_IN_FLIGHT", "2")]].concat());
    let token = token("alice");
    let mut raw = Raw::greeted(url(&demo), &token).await;
    let upto = "00000000-0000-7000-8000-000000000000";
    let ahead = [
        json!({"op": "ping", "id": "ping"}),
        json!({"op": "renew", "id": "renew", "token": token}),
        json!({"op": "subscribe", "id": "subscribe", "patterns": ["user.alice.x"]}),
        json!({"op": "mark_read", "id": "mark", "conversation": "user.bob", "upto": upto}),
        json!({"op": "history", "id": "history", "conversation": "user.bob"}),
    ];
    raw.send(&packet((1..=4).map(send).chain(ahead.clone()))).await;
    let replies = replies(&mut raw, 4 + ahead.len()).await;
    let place = |id: &Value| replies.iter().position(|reply| reply["id"] == *id).expect("a reply");
    assert!(replies.iter().all(|reply| reply["op"] != "error"), "{replies:?}");
    for frame in &ahead {
        assert!(place(&frame["id"]) < place(&json!(2)), "{frame} in {replies:?}");
    }
    assert!(place(&json!(2)) < place(&json!(3)) && place(&json!(3)) < place(&json!(4)));
}

/// Events wait behind sends that are held, as they come behind sends that are not.
#[tokio::test]
async fn events_and_signals_keep_their_place_among_the_sends() {
    let demo = node_with("1", &[&SLOW_SENDS[..], &[("LIMITS__SENDS_IN_FLIGHT", "1")]].concat());
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let signal = json!({
        "op": "signal", "id": 3, "conversation": "user.bob", "name": "typing", "data": 1,
    });
    let publish = json!({"op": "publish", "id": 4, "subject": "user.alice.x", "data": 1});
    raw.send(&packet([send(1), send(2), signal, publish, send(5)])).await;
    let mut ids = Vec::new();
    while ids.len() < 5 {
        let reply = raw.receive_json().await;
        assert_ne!(reply["op"], "error", "{reply}");
        ids.extend(reply["id"].as_u64());
    }
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn events_marks_and_reads_come_at_their_rates() {
    let keys = [
        ("RATES__LIMIT_USERS", "true"),
        ("RATES__EVENT_BURST", "2"),
        ("RATES__EVENTS_PER_S", "10"),
        ("RATES__READ_BURST", "2"),
        ("RATES__READS_PER_S", "10"),
    ];
    let upto = "00000000-0000-7000-8000-000000000000";
    let ops = [
        json!({"op": "publish", "subject": "topic.x", "data": 1}),
        json!({"op": "mark_read", "conversation": "user.bob", "upto": upto}),
        json!({"op": "history", "conversation": "user.bob"}),
    ];
    let demo = node_with("1", &keys);
    for (number, op) in ops.iter().enumerate() {
        let mut raw = Raw::greeted(url(&demo), &token(&format!("alice-{number}"))).await;
        let begun = Instant::now();
        let numbered = (0..7).map(|id| {
            let mut frame = op.clone();
            frame["id"] = json!(id);
            frame
        });
        raw.send(&packet(numbered)).await;
        for reply in replies(&mut raw, 7).await {
            assert_ne!(reply["op"], "error", "{reply}");
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(450), "five at ten a second took {took:?}: {op}");
    }
}

/// The next replies that are no `sent`. What waited its second on a busy machine is sent meanwhile.
async fn others(raw: &mut Raw, count: usize, sent: &mut Vec<Value>) -> Vec<Value> {
    let mut others = Vec::new();
    while others.len() < count {
        let reply = raw.receive_json().await;
        if reply["op"] == "sent" {
            sent.push(reply["id"].clone());
        } else {
            others.push(reply);
        }
    }
    others
}

/// Ten wait: the first for a second, the last for nearly ten. The others are told at once.
#[tokio::test]
async fn what_would_wait_for_more_than_ten_seconds_is_refused_and_so_is_what_follows() {
    let demo = node_with("1", &[&SLOW_SENDS[..], &[("LIMITS__SENDS_IN_FLIGHT", "1")]].concat());
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    raw.send(&packet((1..=20).map(send))).await;
    let mut sent = Vec::new();
    let mut refused = others(&mut raw, 1, &mut sent).await;
    // The machine may take a second or two for the twenty.
    let first = refused[0]["id"].as_u64().expect("a number");
    assert!((12..=14).contains(&first), "{refused:?}");
    refused.extend(others(&mut raw, (20 - first) as usize, &mut sent).await);
    for (reply, number) in refused.iter().zip(first..) {
        assert_eq!((&reply["code"], &reply["id"]), (&json!("rate_limited"), &json!(number)));
        let wait = reply["retry_after_ms"].as_u64().expect("a time");
        assert!((10_000..=11_100).contains(&wait), "{reply}");
    }
    raw.send(&packet([send(21), json!({"op": "ping", "id": 22})])).await;
    let replies = others(&mut raw, 2, &mut sent).await;
    assert_eq!((&replies[0]["code"], &replies[0]["id"]), (&json!("rate_limited"), &json!(21)));
    let wait = replies[0]["retry_after_ms"].as_u64().expect("a time");
    assert!((1..=11_100).contains(&wait), "{replies:?}");
    let told = replies[0]["detail"].as_str().expect("a text");
    assert!(told.starts_with("an earlier one was refused"), "{told}");
    assert_eq!(replies[1]["op"], "pong");
    // Operators see each of them.
    let operator = &demo.nodes[0].operator;
    let told = refused.len() as u64 + 1;
    assert_eq!(operator.metric("narrowcast_limit_refusals_total{policy=\"sends\"}"), told);
    assert_eq!(operator.metric("narrowcast_limit_decisions_total{outcome=\"cached\"}"), 1);
    while sent.len() < 3 {
        sent.push(raw.receive_op("sent").await["id"].clone());
    }
    assert_eq!(sent[..3], [1, 2, 3], "those that wait are not forgotten");
}
