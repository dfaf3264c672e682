//! What a resume reads is read by turns that all users share, on a node that reads next to nothing.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::raw::{Raw, hello, text};
use super::tokens::token;
use super::{node_with, url};
use crate::cluster::chat::login;
use crate::cluster::resume::resume;
use crate::harness::{Demo, eventually};

/// Resumes read once a second, rounds too, and nothing else does.
const SLOW: [(&str, &str); 3] = [
    ("REPAIR__RESUME_READS_PER_S", "1"),
    ("REPAIR__READS_PER_S", "1"),
    ("AUDIT__READS_PER_S", "0"),
];

/// Hellos of one user.
const MANY: usize = 300;

/// Reads in which a user who waits for one has it, whatever others wait for: theirs before it, and
/// those that began before it was counted.
const FAIR: u64 = 6;

fn reads(demo: &Demo) -> u64 {
    demo.nodes[0].operator.metric("narrowcast_recovery_reads_total")
}

/// Reads between a user's `hello` and the cursor.
async fn reads_of_login(demo: &Demo, user: &str) -> u64 {
    let before = reads(demo);
    drop(login(url(demo), &token(user)).await);
    reads(demo) - before
}

/// A connection of a user, let in and not read for yet.
async fn greeted(node: &str, token: &str, cursor: &Value) -> Raw {
    let mut raw = Raw::upgraded(node).await;
    let hello = json!({"op": "hello", "token": token, "cursor": cursor});
    raw.send(&text(&hello.to_string())).await;
    raw.receive_op("ready").await;
    raw
}

/// Each session of one user reads for itself, the rooms apart, and another user needs one read.
#[tokio::test]
async fn a_user_whose_many_sessions_wait_delays_nobody() {
    let demo = node_with("1", &SLOW);
    let cursor = json!(resume(url(&demo), &token("many"), None).await.text());
    let many = token("many");
    let mut held = Vec::new();
    for _ in 0..MANY {
        held.push(greeted(url(&demo), &many, &cursor).await);
    }
    for user in ["one", "two", "three"] {
        let reads = reads_of_login(&demo, user).await;
        assert!(reads <= FAIR, "{reads} reads before the cursor of {user}");
    }
    assert!(reads(&demo) < MANY as u64, "the many still wait");
}

/// All of them wait for reads of their own when they go.
#[tokio::test]
async fn sessions_that_are_gone_cost_nobody_a_turn() {
    let demo = node_with("1", &SLOW);
    let cursor = json!(resume(url(&demo), &token("gone"), None).await.text());
    let gone = token("gone");
    let mut held = Vec::new();
    for _ in 0..MANY {
        held.push(greeted(url(&demo), &gone, &cursor).await);
    }
    // The rooms, which they share, and then one of them has had a turn.
    let before = reads(&demo);
    eventually("they wait in line", || reads(&demo) >= before + 2).await;
    drop(held);
    eventually("all are gone", || demo.nodes[0].operator.metric("narrowcast_sessions") == 0).await;
    let before = reads(&demo);
    for user in ["one", "two", "gone"] {
        let reads = reads_of_login(&demo, user).await;
        assert!(reads <= FAIR, "{reads} reads before the cursor of {user}");
    }
    assert!(reads(&demo) - before <= 2 * FAIR, "nothing is read for those who are gone");
}

/// One read of its rooms serves all sessions of a user that wait for it; without a cursor they read
/// nothing else.
#[tokio::test]
async fn sessions_of_one_user_share_the_read_of_the_rooms() {
    let demo = node_with("1", &SLOW);
    // The turns that were saved up are spent.
    drop(login(url(&demo), &token("first")).await);
    let before = reads(&demo);
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(Client::begin(url(&demo), &token("shared")).await.expect("it is let in"));
    }
    for session in &mut sessions {
        let frame = session.next_within(crate::harness::PATIENCE).await.expect("a cursor");
        assert_eq!((&frame["op"], &frame["reason"]), (&json!("cursor"), &json!("no_cursor")));
    }
    let reads = reads(&demo) - before;
    assert!(reads <= 6, "{reads} reads for 20 sessions");
}

const FEW: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__READ_BURST", "3"), ("RATES__READS_PER_S", "1")];

/// More than the burst and what comes back while they are said.
const TRIES: usize = 60;

/// A refused one says when to come back, and ends the connection; another user is not held to it.
#[tokio::test]
async fn hellos_count_as_reads_of_their_user() {
    for workers in super::WORKERS {
        let demo = node_with(workers, &FEW);
        let mut let_in = 0;
        let refused = loop {
            assert!(let_in < TRIES, "never refused");
            let mut raw = Raw::upgraded(url(&demo)).await;
            raw.send(&hello(&token("alice"))).await;
            let answer = raw.receive_json().await;
            if answer["op"] == "error" {
                assert_eq!(raw.receive_close().await, (4101, "rate abuse".to_owned()));
                break answer;
            }
            let_in += 1;
        };
        assert!(let_in >= 3, "{let_in}");
        assert_eq!(
            (&refused["code"], &refused["retry"]),
            (&json!("rate_limited"), &json!("later"))
        );
        let told = refused["detail"].as_str().expect("a text");
        assert!(refused["for"] == "hello" && told.contains("reads: "), "{refused}");
        let wait = refused["retry_after_ms"].as_u64().expect("a time");
        assert!((1..=1000).contains(&wait), "{refused}");
        Client::login(url(&demo), &token("bob")).await.expect("another user has their own");
        let operator = &demo.nodes[0].operator;
        assert_eq!(operator.metric("narrowcast_closes_total{code=\"4101\"}"), 1);
    }
}

/// A session that brings a fresh token too often is told so, and stays.
#[tokio::test]
async fn a_refused_renewal_leaves_the_session() {
    let demo = node_with("1", &FEW);
    let token = token("alice");
    let mut alice = Client::login(url(&demo), &token).await.unwrap();
    let mut renewed = 0;
    let refused = loop {
        assert!(renewed < TRIES, "never refused");
        let answer = alice.ask(json!({"op": "renew", "token": token})).await.unwrap();
        if answer["op"] == "error" {
            break answer;
        }
        assert_eq!(answer["op"], "renewed");
        renewed += 1;
    };
    assert!(renewed >= 2 && refused["code"] == "rate_limited", "{renewed} then {refused}");
    assert_eq!(alice.ask(json!({"op": "ping"})).await.unwrap()["op"], "pong");
}

/// Devices of one user that come back at once.
const DEVICES: usize = 20;

/// The reads of resumes are not charged: after them a user can still read history and inbox.
#[tokio::test]
async fn who_comes_back_with_many_devices_still_reads() {
    let rates =
        [("RATES__LIMIT_USERS", "true"), ("RATES__READ_BURST", "25"), ("RATES__READS_PER_S", "1")];
    let demo = node_with("1", &rates);
    let alice = token("alice");
    let cursor = resume(url(&demo), &alice, None).await.text();
    let before = reads(&demo);
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(resume(url(&demo), &alice, Some(&cursor)).await.client);
    }
    let read = reads(&demo) - before;
    assert!(read >= 2 * DEVICES as u64, "{read} reads, which would be more than the burst");
    for request in [json!({"op": "history", "conversation": "user.bob"}), json!({"op": "inbox"})] {
        let answer = devices[0].ask(request).await.unwrap();
        assert_ne!(answer["op"], "error", "{answer}");
    }
}
