//! What waits for all clients of a node together is bounded as well: the fullest go first, those of
//! a worker that holds more than its share.

use narrowcast::client::Client;
use narrowcast::domain::{RoutingKey, UserId};
use narrowcast::layout::worker_of;
use serde_json::json;

use super::raw::Raw;
use super::tokens::token;
use super::{WORKERS, closes, node_with, url};
use crate::cluster::rooms::{room, say};
use crate::harness::{Demo, Operator, PATIENCE};

/// Members who do not read.
const SLOW: usize = 4;

/// Messages to their room, of 8 kB: 7.5 MiB for each of them, of which a kernel takes at most 4.
const MESSAGES: u64 = 960;

/// The bound on all outboxes: as much as one may hold alone.
const NODE_BYTES: u64 = 8 << 20;

/// Bytes of a message to those of whom one holds little.
const BODY_BYTES: usize = 16_000;

/// What may still be on its way from one worker to another while the node is filled.
const MARGIN_BYTES: u64 = 320_000;

/// A node with this bound on all outboxes.
fn node(workers: &str, node_bytes: &str) -> Demo {
    let keys = [
        ("LIMITS__OUTBOX_BYTES", "8388608"),
        ("LIMITS__NODE_OUTBOX_BYTES", node_bytes),
        ("LIMITS__BODY_BYTES", "16384"),
        ("LIMITS__FRAME_BYTES", "20480"),
        ("TIMEOUTS__WRITE_STALL_TIMEOUT_MS", "300000"),
        ("RATES__BYTE_BURST", "1073741824"),
    ];
    node_with(workers, &keys)
}

/// How many of the slow were closed, and the node's bound on all outboxes was this.
async fn closed_at(workers: &str, node_bytes: &str) -> u64 {
    let demo = node(workers, node_bytes);
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
    for workers in WORKERS {
        let closed = closed_at(workers, "8388608").await;
        assert!((1..SLOW as u64).contains(&closed), "{closed} were closed, some and not all");
    }
    assert_eq!(closed_at("1", "268435456").await, 0, "each of them alone is within its own bound");
}

/// A user whose sessions are on a worker.
fn user_on(worker: u32, workers: u32, name: &str) -> String {
    let mut names = (0..).map(|number| format!("{name}-{number}"));
    let is_there = |name: &String| {
        worker_of(&RoutingKey::user(&UserId::parse(name).expect("an id")), workers) == worker
    };
    names.find(is_there).expect("each worker has users")
}

fn waiting(operator: &Operator) -> u64 {
    operator.metric("narrowcast_outbox_bytes ")
}

/// Somebody who sends as long as it takes.
struct Sender {
    client: Client,
    sent: u64,
}

impl Sender {
    async fn send_while(&mut self, to: &str, goes_on: impl Fn() -> bool) {
        let from = self.sent;
        while goes_on() {
            assert!(self.sent < from + MESSAGES, "enough for any kernel's buffers");
            let body = json!({"n": self.sent, "filler": "x".repeat(BODY_BYTES)});
            let send = json!({"op": "send", "conversation": to, "body": body});
            assert_eq!(self.client.ask(send).await.unwrap()["op"], "sent");
            self.sent += 1;
        }
    }
}

/// The last bytes come from a worker that holds next to nothing: it must not pay for the others.
#[tokio::test]
async fn who_holds_little_stays_whichever_worker_went_over() {
    for workers in WORKERS {
        let demo = node(workers, &NODE_BYTES.to_string());
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let count: u32 = workers.parse().unwrap();
        let [ann, modest] = ["ann", "modest"].map(|name| user_on(0, count, name));
        let greedy: Vec<String> =
            (0..SLOW).map(|at| user_on(count - 1, count, &format!("greedy-{at}"))).collect();
        let members = [&greedy[..], std::slice::from_ref(&ann)].concat();
        room(node, "r", "all", &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut reluctant = Vec::new();
        for user in &greedy {
            reluctant.push(Raw::cramped(node, &token(user)).await);
        }
        let mut last = Raw::cramped(node, &token(&modest)).await;
        let client = Client::login(node, &token(&ann)).await.unwrap();
        let mut ann = Sender { client, sent: 0 };
        let to_modest = format!("user.{modest}");
        ann.send_while(&to_modest, || waiting(operator) == 0).await;
        ann.send_while("room.r", || waiting(operator) + MARGIN_BYTES < NODE_BYTES).await;
        ann.send_while(&to_modest, || closes(operator, 4102) == 0).await;
        assert!(waiting(operator) < NODE_BYTES, "that was enough");
        let end = json!({"op": "send", "conversation": to_modest, "body": "end"});
        assert_eq!(ann.client.ask(end).await.unwrap()["op"], "sent");
        while last.receive_op("message").await["message"]["body"] != "end" {}
        drop(reluctant);
    }
}
