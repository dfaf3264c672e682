//! Nodes joined in memory: the same code without a Redis, for `demo` and for tests.

use serde_json::{Value, json};

use super::chat::{PATIENT, bodies_until, login, next, publish, send, subscribe};
use super::stage::{ECHO, USEFUL, WASTED, hears_from_alice};
use crate::harness::untimed;
use crate::harness::{Demo, eventually};

const NODES: usize = 3;
const MESSAGES: u64 = 200;

fn start(workers: &str) -> Demo {
    Demo::start(NODES, &[], &[&PATIENT[..], &[("WORKERS", workers)]].concat())
}

fn metric(demo: &Demo, start: &str) -> Vec<u64> {
    demo.nodes.iter().map(|node| node.operator.metric(start)).collect()
}

async fn messages_reach_every_device(workers: &str) {
    let demo = start(workers);
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut tablet = login(&demo.nodes[1].url, &demo.alice).await;
    let mut bob = Vec::new();
    for node in &demo.nodes[..2] {
        bob.push(login(&node.url, &demo.bob).await);
    }
    let expected: Vec<Value> = (0..MESSAGES).map(|number| json!(number)).collect();
    for body in &expected {
        send(&mut alice, "bob", body.clone()).await;
    }
    for device in bob.iter_mut().chain([&mut tablet]) {
        hears_from_alice(device, expected.iter().cloned()).await;
    }
    // An answer goes the other way, to both of Alice's.
    send(&mut bob[1], "alice", json!("end")).await;
    for device in [&mut alice, &mut tablet, &mut bob[0]] {
        assert_eq!(bodies_until(device, &json!("end")).await, [json!("end")]);
    }
    let all = 2 * (MESSAGES + 1);
    let counted = || {
        let pushes = [metric(&demo, ECHO), metric(&demo, USEFUL), metric(&demo, WASTED)];
        let [echo, useful, wasted] = pushes;
        assert_eq!((wasted, echo[2], useful[2]), (vec![0; NODES], 0, 0), "nobody is there");
        (echo[0] + useful[0], echo[1] + useful[1]) == (all, all) && echo[1] == 2
    };
    eventually("both buckets are heard by both nodes that hold them", counted).await;
}

#[tokio::test]
async fn messages_reach_every_device_with_one_worker() {
    messages_reach_every_device("1").await;
}

#[tokio::test]
async fn messages_reach_every_device_with_three_workers() {
    messages_reach_every_device("3").await;
}

async fn events_reach_their_subscribers(workers: &str) {
    let demo = start(workers);
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut fans = Vec::new();
    for (node, pattern) in [(0, "topic.scores.goal"), (1, "topic.scores.*"), (2, "topic.scores.>")]
    {
        let mut fan = login(&demo.nodes[node].url, &demo.bob).await;
        subscribe(&mut fan, pattern).await;
        // Both match: the event comes once nevertheless.
        subscribe(&mut fan, "topic.scores.goal.>").await;
        subscribe(&mut fan, "topic.scores.*").await;
        fans.push(fan);
    }
    for number in 0..MESSAGES {
        publish(&mut alice, "topic.other.goal", json!("not for you")).await;
        publish(&mut alice, "topic.scores.goal", json!(number)).await;
    }
    for fan in &mut fans {
        for number in 0..MESSAGES {
            let expected = json!({"op": "event", "subject": "topic.scores.goal", "data": number});
            assert_eq!(untimed(next(fan).await), expected);
        }
    }
}

#[tokio::test]
async fn events_reach_their_subscribers_with_one_worker() {
    events_reach_their_subscribers("1").await;
}

#[tokio::test]
async fn events_reach_their_subscribers_with_three_workers() {
    events_reach_their_subscribers("3").await;
}
