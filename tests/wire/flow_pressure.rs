//! A session whose frames fill the queue for what is held back is not read, and loses nothing.

use serde_json::{Value, json};

use super::raw::{Raw, text};
use super::tokens::token;
use super::{closes, node_with, url};
use crate::harness::{Operator, eventually};

/// Frames that fit next to nowhere but in the queue.
const LARGE: usize = 8000;

const FRAMES: u64 = 100;

fn large_send(number: u64) -> Value {
    let body = "x".repeat(LARGE);
    json!({"op": "send", "id": number, "conversation": "user.bob", "body": body})
}

/// Sends that the node has read, and those of them that it has answered.
fn read_and_sent(operator: &Operator) -> (u64, u64) {
    // In this order, so that what comes in between only makes the difference smaller.
    let read = operator.metric("narrowcast_client_frames_total") - 1;
    (read, operator.metric("narrowcast_sends_total{outcome=\"sent\"}"))
}

/// The client's write does not complete while the node has as much as it may hold.
#[tokio::test]
async fn a_full_queue_stops_reading_until_there_is_room() {
    let keys = [
        ("RATES__LIMIT_USERS", "true"),
        ("RATES__SEND_BURST", "1"),
        ("RATES__SENDS_PER_S", "40"),
        ("LIMITS__SENDS_IN_FLIGHT", "2"),
        ("LIMITS__HELD_FRAMES", "8"),
    ];
    let demo = node_with("1", &keys);
    let operator = &demo.nodes[0].operator;
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let mut writer = raw.writer();
    let packet: Vec<u8> =
        (0..FRAMES).flat_map(|number| text(&large_send(number).to_string())).collect();
    let writing = tokio::spawn(async move { writer.send(&packet).await });
    for number in 0..FRAMES {
        let reply = raw.receive_json().await;
        assert_eq!(reply["op"], "sent", "{reply}");
        let (read, sent) = read_and_sent(operator);
        assert!(read - sent <= 2 + 8, "{read} are read and {sent} are sent");
        assert!(number > 0 || !writing.is_finished(), "most of it is not even on its way");
    }
    writing.await.expect("all is written");
}

/// The queue is full but for moments. The client's pongs could not be read, and it sends none.
#[tokio::test]
async fn no_pong_is_due_while_the_queue_is_full() {
    let keys = [
        ("RATES__LIMIT_USERS", "true"),
        ("RATES__EVENT_BURST", "1"),
        ("RATES__EVENTS_PER_S", "1"),
        ("LIMITS__HELD_FRAMES", "2"),
        ("TIMEOUTS__PING_MS", "100"),
        ("TIMEOUTS__PONG_TIMEOUT_MS", "200"),
    ];
    let demo = node_with("1", &keys);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let publish =
        |id| text(&json!({"op": "publish", "id": id, "subject": "topic.x", "data": 1}).to_string());
    raw.send(&[publish(1), publish(2), publish(3), publish(4)].concat()).await;
    for id in 1..=3 {
        let reply = raw.receive_json().await;
        assert_eq!((&reply["op"], &reply["id"]), (&json!("ok"), &json!(id)), "{reply}");
    }
    assert_eq!(closes(&demo.nodes[0].operator, 4201), 0);
}

/// It writes all before it reads anything, and what it writes is more than fits on the way.
#[tokio::test]
async fn a_client_that_is_blocked_in_its_write_gets_its_replies() {
    let keys = [
        ("LIMITS__SENDS_IN_FLIGHT", "2"),
        ("LIMITS__HELD_FRAMES", "4"),
        ("LIMITS__OUTBOX_BYTES", "16777216"),
    ];
    let demo = node_with("1", &keys);
    let mut raw = Raw::cramped(url(&demo), &token("alice")).await;
    let packet: Vec<u8> =
        (0..FRAMES).flat_map(|number| text(&large_send(number).to_string())).collect();
    raw.writer().send(&packet).await;
    let operator = &demo.nodes[0].operator;
    eventually("all are stored", || read_and_sent(operator) == (FRAMES, FRAMES)).await;
    let mut ids = Vec::new();
    for _ in 0..FRAMES {
        let reply = raw.receive_json().await;
        assert_eq!(reply["op"], "sent");
        ids.push((reply["message"]["id"].as_str().expect("an id").to_owned(), reply["id"].clone()));
    }
    ids.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(
        ids.iter()
            .map(|(_, id)| id)
            .eq((0..FRAMES).map(|number| json!(number)).collect::<Vec<_>>().iter())
    );
}
