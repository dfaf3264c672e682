//! The reason for all this: a message travels only to the nodes that hold someone it is for.

use serde_json::json;

use super::chat::{login, next, publish, send, subscribe};
use super::shards::{BUCKETS, bucket, channel};
use super::stage::{CURTAIN, CURTAIN_HERE, ECHO, NODES, Stage, WASTED, hears_from_alice};
use crate::harness::untimed;

const MESSAGES: u64 = 200;

/// The classic broadcast: one bucket for everybody, as it is in the usual design.
const BROADCAST: [(&str, &str); 3] = [
    ("LAYOUTS__A__BUCKETS__USER", "1"),
    ("LAYOUTS__A__BUCKETS__ROOM", "1"),
    ("LAYOUTS__A__BUCKETS__TOPIC", "1"),
];

/// Alice on the first node writes to Bob on the first three; nobody else knows them.
async fn alice_writes_to_bobs_devices(stage: &mut Stage, buckets: u64) {
    let mut devices = Vec::new();
    for node in &stage.demo.nodes[..3] {
        devices.push(login(&node.url, &stage.demo.bob).await);
    }
    let holders = if buckets == 1 { NODES as u64 } else { 3 };
    assert_eq!(stage.subscribers(&channel("user.bob", buckets)), holders);
    stage.assert_received([0; NODES]).await;
    for number in 0..MESSAGES {
        send(&mut stage.alice, "bob", json!(number)).await;
    }
    stage.curtain().await;
    send(&mut stage.alice, "bob", json!("end")).await;
    for device in &mut devices {
        let expected = (0..MESSAGES).map(|number| json!(number)).chain([json!("end")]);
        hears_from_alice(device, expected).await;
    }
    // What came after the first curtain is behind the second one.
    stage.curtain().await;
}

/// Messages to Bob, with the last one.
const TO_BOB: u64 = MESSAGES + 1;

async fn nodes_without_alice_and_bob_receive_nothing(workers: &str) {
    let mut stage = Stage::set(2, &[("WORKERS", workers)]).await;
    for node in 1..NODES {
        for held in stage.keys_on(node) {
            assert_ne!(bucket(&held), bucket("user.alice"), "{held}");
            assert_ne!(bucket(&held), bucket("user.bob"), "{held}");
        }
    }
    assert_eq!(stage.subscribers(&channel("user.alice", BUCKETS)), 1);
    alice_writes_to_bobs_devices(&mut stage, BUCKETS).await;
    // Alice's node holds her bucket and Bob's, and all that it hears is its own.
    let echoes = 2 * TO_BOB + 2 * CURTAIN;
    let [second, third, fourth, fifth] =
        [TO_BOB, TO_BOB, 0, 0].map(|count| count + 2 * CURTAIN_HERE);
    stage.assert_received([echoes, second, third, fourth, fifth]).await;
    assert_eq!(stage.metric(ECHO), [echoes, 0, 0, 0, 0]);
    assert_eq!(stage.metric(WASTED), [0; NODES]);
    stage.assert_published(2 * (TO_BOB + 2 * CURTAIN), "one for each of two users").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn nodes_without_alice_and_bob_receive_nothing_with_one_worker() {
    nodes_without_alice_and_bob_receive_nothing("1").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn nodes_without_alice_and_bob_receive_nothing_with_three_workers() {
    nodes_without_alice_and_bob_receive_nothing("3").await;
}

/// The same story told to everybody: the count above can be other than zero.
async fn broadcast_reaches_every_node(workers: &str) {
    let mut stage = Stage::set(2, &[&BROADCAST[..], &[("WORKERS", workers)]].concat()).await;
    alice_writes_to_bobs_devices(&mut stage, 1).await;
    let curtains = 2 * CURTAIN;
    stage.assert_received([TO_BOB + curtains; NODES]).await;
    let wasted = stage.metric(WASTED);
    let of_others = curtains - 2 * CURTAIN_HERE;
    assert_eq!(wasted, [0, of_others, of_others, TO_BOB + of_others, TO_BOB + of_others]);
    stage.assert_published(TO_BOB + curtains, "both users share the bucket").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn broadcast_reaches_every_node_with_one_worker() {
    broadcast_reaches_every_node("1").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn broadcast_reaches_every_node_with_three_workers() {
    broadcast_reaches_every_node("3").await;
}

/// Alice announces goals to the one who subscribed, on the second node.
async fn alice_announces_goals(stage: &mut Stage) {
    let mut fan = login(&stage.demo.nodes[1].url, &stage.demo.bob).await;
    subscribe(&mut fan, "topic.scores.*").await;
    for number in 0..MESSAGES {
        publish(&mut stage.alice, "topic.scores.goal", json!(number)).await;
    }
    stage.curtain().await;
    for number in 0..MESSAGES {
        let expected = json!({"op": "event", "subject": "topic.scores.goal", "data": number});
        assert_eq!(untimed(next(&mut fan).await), expected);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn events_go_to_their_subscribers_node_alone() {
    let mut stage = Stage::set(2, &[]).await;
    for held in (1..NODES).flat_map(|node| stage.keys_on(node)) {
        assert_ne!(bucket(&held), bucket("topic.scores"), "{held}");
    }
    alice_announces_goals(&mut stage).await;
    // Nobody on Alice's node cares for scores: its echoes are of her messages to the others.
    let [second, third, fourth, fifth] = [MESSAGES, 0, 0, 0].map(|count| count + CURTAIN_HERE);
    stage.assert_received([CURTAIN, second, third, fourth, fifth]).await;
    assert_eq!(stage.metric(WASTED), [0; NODES]);
    stage.assert_published(MESSAGES + 2 * CURTAIN, "one each").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn broadcast_events_reach_every_node_with_a_subscriber_of_anything() {
    let mut stage = Stage::set(2, &BROADCAST).await;
    alice_announces_goals(&mut stage).await;
    let of_story = [0, MESSAGES, MESSAGES, MESSAGES, MESSAGES];
    stage.assert_received(of_story.map(|count| count + CURTAIN)).await;
    stage.assert_published(MESSAGES + CURTAIN, "one each").await;
}
