//! Wide patterns across nodes: for tests/cluster, once the node agent calls `WildcardFeed::cluster_read`.

use serde_json::{Value, json};

use super::chat::{login, next, publish, subscribe};
use super::stage::{ECHO, USEFUL, WASTED};
use crate::harness::untimed;
use crate::harness::{Demo, eventually, token};

const TAPS_PATIENT: [(&str, &str); 2] =
    [("TIMEOUTS__WIDE_SUBSCRIBE_TIMEOUT_MS", "60000"), ("TIMEOUTS__SUBSCRIBE_TIMEOUT_MS", "15000")];

async fn each_hears_each_event_once(workers: &str) {
    let demo = Demo::start(3, &[], &[&TAPS_PATIENT[..], &[("WORKERS", workers)]].concat());
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mixes: [&[&str]; 4] =
        [&["topic.>"], &["topic.a.>"], &["topic.*.x", "topic.a.x"], &["topic.a.*", "topic.>"]];
    let mut listeners = Vec::new();
    for (number, mix) in mixes.iter().cycle().take(24).enumerate() {
        let node = &demo.nodes[number % 3];
        let mut client = login(&node.url, &token(&format!("user-{number}"))).await;
        for pattern in *mix {
            subscribe(&mut client, pattern).await;
        }
        listeners.push((client, number % 4));
    }
    for number in 0..50 {
        publish(&mut alice, "topic.a.x", json!(number)).await;
        publish(&mut alice, "topic.b.x", json!(number)).await;
    }
    for (listener, mix) in &mut listeners {
        for number in 0..50 {
            let event = |about: &str| json!({"op": "event", "subject": about, "data": number});
            assert_eq!(untimed(next(listener).await), event("topic.a.x"));
            if *mix != 1 {
                assert_eq!(untimed(next(listener).await), event("topic.b.x"));
            }
        }
    }
    // Each event makes two copies: both come to the other two nodes for `a`, the tap's for `b`.
    let metric = |start: &str| -> Vec<u64> {
        demo.nodes.iter().map(|node| node.operator.metric(start)).collect()
    };
    let expected: [Vec<u64>; 3] = [vec![150, 0, 0], vec![0, 150, 150], vec![0, 0, 0]];
    let counted = || [ECHO, USEFUL, WASTED].map(metric) == expected;
    eventually("both copies are counted", counted).await;
    let end: Value = json!({"op": "event", "subject": "topic.a.x", "data": "end"});
    publish(&mut alice, "topic.a.x", json!("end")).await;
    for (listener, _) in &mut listeners {
        assert_eq!(untimed(next(listener).await), end, "nothing came twice");
    }
}

#[tokio::test]
async fn each_hears_each_event_once_with_one_worker() {
    each_hears_each_event_once("1").await;
}

#[tokio::test]
async fn each_hears_each_event_once_with_three_workers() {
    each_hears_each_event_once("3").await;
}
