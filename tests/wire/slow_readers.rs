//! A client that does not read is sent what fits, then closed; nobody else notices, and memory
//! is not the buffer.

use std::collections::BTreeSet;
use std::time::Instant;

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::raw::{Raw, text, texts};
use super::tokens::token;
use super::{WORKERS, closes, node_with, url};
use crate::cluster::resume::resume;
use crate::harness::{Demo, PATIENCE, eventually};

/// Small bounds, so that little has to be sent to reach them, all at once.
const SMALL: [(&str, &str); 5] = [
    ("LIMITS__HISTORY_BYTES", "16384"),
    ("LIMITS__OUTBOX_BYTES", "65536"),
    ("RATES__FRAME_BURST", "100000"),
    ("RATES__BYTE_BURST", "1073741824"),
    ("TIMEOUTS__WRITE_STALL_TIMEOUT_MS", "300000"),
];

/// Messages or pages after which a client must have been closed: 8 MB, above the 4 MiB that a
/// kernel buffers for a connection and the outbox together.
const ENOUGH: u64 = 1024;

/// Short requests after which a client must have been closed: each is answered at once, whatever
/// the store does, with some 300 bytes, so with 9 MB in all.
const REQUESTS: u64 = 30_000;

/// Events that go to a client that does not read: 40 MB in all.
const EVENTS: u64 = 5000;

/// How much a node may grow meanwhile, in KiB: half of what was published.
const GROWTH_KIB_MAX: u64 = 20_000;

/// The code of a slow consumer.
const SLOW: u16 = 4102;

fn resident_kib(demo: &Demo) -> u64 {
    let path = format!("/proc/{}/status", demo.process.id());
    let status = std::fs::read_to_string(path).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn filler() -> String {
    "x".repeat(8000)
}

/// The next frame but cursors, which come now and then: who reads is sent all.
async fn next(client: &mut Client) -> Value {
    loop {
        let frame = client.next_within(PATIENCE).await.expect("something comes");
        if frame["op"] != "cursor" {
            return frame;
        }
    }
}

async fn ok(client: &mut Client, request: Value) {
    let answer = client.ask(request).await.expect("an answer");
    assert_ne!(answer["op"], "error", "{answer}");
}

#[tokio::test]
async fn messages_that_do_not_fit_close_the_session_that_does_not_read() {
    for workers in WORKERS {
        let demo = node_with(workers, &SMALL);
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let mut slow = Raw::cramped(node, &token("bob")).await;
        let mut reading = Client::login(node, &token("bob")).await.unwrap();
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        for count in 1..=ENOUGH {
            let body = json!({"n": count, "filler": filler()});
            ok(&mut alice, json!({"op": "send", "conversation": "user.bob", "body": body})).await;
            let heard = next(&mut reading).await;
            assert_eq!(heard["message"]["body"]["n"], count);
        }
        // What the kernel had taken may still come, then the end, with or without a goodbye.
        slow.drain().await;
        let read = json!({"op": "history", "conversation": "user.alice", "limit": 1});
        let page = reading.ask(read).await.unwrap();
        assert_eq!(page["messages"][0]["body"]["n"], ENOUGH, "nothing is lost");
        assert_eq!(closes(operator, SLOW), 1, "it is counted, and nobody else was slow");
    }
}

/// Whoever was closed as slow comes back with the last cursor that he read, and then has everything
/// once: what is not above that cursor he was sent before it.
#[tokio::test]
async fn who_was_closed_as_slow_comes_back_for_what_he_missed() {
    let resumes =
        [("REPAIR__CONVERSATION_MESSAGES", "10000"), ("REPAIR__RESUME_MESSAGES", "10000")];
    for workers in WORKERS {
        let demo = node_with(workers, &[&SMALL[..], &resumes].concat());
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let (mut slow, mut cursor) = Raw::cramped_with_cursor(node, &token("bob")).await;
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let mut sent = 0;
        while closes(operator, SLOW) == 0 {
            assert!(sent < ENOUGH, "not closed after {sent} messages");
            let body = json!({"n": sent, "filler": filler()});
            ok(&mut alice, json!({"op": "send", "conversation": "user.bob", "body": body})).await;
            sent += 1;
        }
        let away = sent..sent + 10;
        for count in away.clone() {
            let body = json!({"n": count});
            ok(&mut alice, json!({"op": "send", "conversation": "user.bob", "body": body})).await;
        }
        let number = |body: &Value| body["n"].as_u64().expect("a number");
        let (mut had, mut pending) = (Vec::new(), Vec::new());
        for frame in texts(&slow.drain().await) {
            match frame["op"].as_str() {
                Some("message") => pending.push(number(&frame["message"]["body"])),
                Some("cursor") => {
                    cursor = frame["cursor"].as_str().expect("a cursor").to_owned();
                    had.append(&mut pending);
                }
                _ => panic!("neither a message nor a cursor: {frame}"),
            }
        }
        let before = had.len() + pending.len();
        assert!((before as u64) < sent, "some were never read: {before} of {sent}");
        let back = resume(node, &token("bob"), Some(&cursor)).await;
        back.assert_whole();
        let missed: Vec<u64> = back.missed.iter().map(number).collect();
        assert!(missed.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {missed:?}");
        let all: BTreeSet<u64> = had.into_iter().chain(missed.iter().copied()).collect();
        assert_eq!(all, (0..away.end).collect(), "nothing is lost");
    }
}

/// Bob's other session reads in step with the publisher, so nothing of his may be shed.
#[tokio::test]
async fn events_are_shed_and_memory_stays_bounded() {
    for workers in WORKERS {
        let demo = node_with(workers, &SMALL);
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let mut slow = Raw::cramped(node, &token("bob")).await;
        let mut reading = Client::login(node, &token("bob")).await.unwrap();
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let before = resident_kib(&demo);
        for count in 1..=EVENTS {
            let data = json!({"n": count, "filler": filler()});
            let publish =
                json!({"op": "signal", "conversation": "user.bob", "name": "e", "data": data});
            ok(&mut alice, publish).await;
            let heard = next(&mut reading).await;
            assert_eq!(heard["data"]["n"], count);
        }
        let grown = resident_kib(&demo).saturating_sub(before);
        assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more than before");
        assert!(operator.metric("narrowcast_events_shed_total") > 0, "they did not all fit");
        assert_eq!(closes(operator, SLOW), 0, "events alone close nobody before the stall");
        // Events are shed from half of the outbox on, so that a message still fits.
        ok(&mut alice, json!({"op": "send", "conversation": "user.bob", "body": "end"})).await;
        while slow.receive_json().await["message"]["body"] != "end" {}
    }
}

#[tokio::test]
async fn who_reads_nothing_for_too_long_is_closed() {
    for workers in WORKERS {
        let keys =
            [SMALL[0], SMALL[1], SMALL[2], SMALL[3], ("TIMEOUTS__WRITE_STALL_TIMEOUT_MS", "300")];
        let demo = node_with(workers, &keys);
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let mut slow = Raw::cramped(node, &token("bob")).await;
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let began = Instant::now();
        for count in 1.. {
            let data = json!({"n": count, "filler": filler()});
            let publish =
                json!({"op": "signal", "conversation": "user.bob", "name": "e", "data": data});
            ok(&mut alice, publish).await;
            if closes(operator, SLOW) > 0 {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "not closed after {count} events");
        }
        slow.drain().await;
        ok(&mut alice, json!({"op": "send", "conversation": "user.bob", "body": 1})).await;
    }
}

/// Replies are bounded like everything else: who asks and never reads ends by the same rule.
#[tokio::test]
async fn who_asks_and_does_not_read_is_closed() {
    let demo = node_with("1", &SMALL);
    let mut asking = Raw::cramped(url(&demo), &token("alice")).await;
    for _ in 0..REQUESTS {
        // It may be closed by now.
        if !asking.try_send(&text(r#"{"op":"hello"}"#)).await {
            break;
        }
    }
    let operator = &demo.nodes[0].operator;
    eventually("the session is closed as slow", || closes(operator, SLOW) == 1).await;
}
