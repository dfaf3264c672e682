//! What waits for all clients of a node together is bounded as well: the fullest go first.

use narrowcast::client::Client;
use serde_json::json;

use super::raw::Raw;
use super::tokens::token;
use super::{closes, node_with, url};
use crate::cluster::rooms::{room, say};
use crate::harness::PATIENCE;

/// Members who do not read.
const SLOW: usize = 4;

/// Messages to their room, of 8 kB: 7.5 MiB for each of them, of which a kernel takes at most 4.
const MESSAGES: u64 = 960;

/// How many of the slow were closed, and the node's bound on all outboxes was this.
async fn closed_at(node_bytes: &str) -> u64 {
    let keys = [
        ("LIMITS__OUTBOX_BYTES", "8388608"),
        ("LIMITS__NODE_OUTBOX_BYTES", node_bytes),
        ("TIMEOUTS__WRITE_STALL_MS", "300000"),
        ("RATES__BYTE_BURST", "1073741824"),
    ];
    let demo = node_with("1", &keys);
    let (node, operator) = (url(&demo), &demo.nodes[0].operator);
    let users: Vec<String> = (0..SLOW).map(|number| format!("slow-{number}")).collect();
    let members: Vec<&str> = users.iter().map(String::as_str).chain(["ann", "ben"]).collect();
    room(node, "r", "all", &members).await;
    let mut slow = Vec::new();
    for user in &users {
        slow.push(Raw::cramped(node, &token(user)).await);
    }
    let mut ann = Client::login(node, &token("ann")).await.unwrap();
    let mut ben = Client::login(node, &token("ben")).await.unwrap();
    for number in 0..MESSAGES {
        let body = json!({"n": number, "filler": "x".repeat(8000)});
        assert_eq!(say(&mut ann, "r", body).await["op"], "sent");
        // Who reads is sent everything, whatever becomes of the others.
        loop {
            let frame = ben.next_within(PATIENCE).await.expect("something comes");
            if frame["op"] == "message" {
                assert_eq!(frame["message"]["body"]["n"], number);
                break;
            }
        }
    }
    drop(slow);
    closes(operator, 4102)
}

#[tokio::test]
async fn the_fullest_go_when_too_much_waits_for_all_together() {
    let closed = closed_at("8388608").await;
    assert!((1..SLOW as u64).contains(&closed), "{closed} were closed, some and not all");
    assert_eq!(closed_at("268435456").await, 0, "each of them alone is within its own bound");
}
