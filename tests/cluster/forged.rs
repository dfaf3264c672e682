//! Whoever may publish in Redis, and has not the store's key: nothing of theirs is believed, and it
//! breaks nothing.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::MachineClock;
use narrowcast::cluster::{EnvelopeForm, Heartbeat};
use narrowcast::domain::Micros;
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::Store;
use serde_json::json;

use super::chat::{login, send};
use super::rooms::{frame, room, say};
use crate::harness::{Demo, PATIENCE, RedisServer, Resp, eventually, token};

/// The next payload that a subscriber is pushed and that holds a text.
fn overhear(ear: &mut Resp, part: &str) -> Vec<u8> {
    loop {
        let payload = ear.pushed();
        if find(&payload, part.as_bytes()).is_some() {
            return payload;
        }
    }
}

fn publish_to_all(mouth: &mut Resp, payload: &[u8]) {
    mouth.ask(&[b"SPUBLISH", b"nc:main:all".as_slice(), payload]);
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn replaced(payload: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "no length in it changes");
    let at = find(payload, from.as_bytes()).expect("it is in it");
    let mut changed = payload.to_vec();
    changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    changed
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn who_may_publish_in_redis_is_not_believed_and_breaks_nothing() {
    let redis = RedisServer::start(&[]);
    // One bucket of each class: where everything is published is known.
    let buckets = ["USER", "ROOM", "TOPIC"].map(|class| format!("LAYOUTS__A__BUCKETS__{class}"));
    let keys: Vec<(&str, &str)> = buckets.iter().map(|key| (key.as_str(), "1")).collect();
    let demo = Demo::start(2, &[&redis.url()], &keys);
    let [here, there] = [0, 1].map(|node| demo.nodes[node].url.clone());
    room(&here, "r", "all", &["alice"]).await;
    let mut alice = login(&here, &demo.alice).await;
    let mut bob = login(&there, &demo.bob).await;
    let mut eve = login(&there, &token("eve")).await;
    let [mut ear, mut mouth] = [(); 2].map(|()| Resp::connect(redis.port()));
    ear.ask(&["SSUBSCRIBE", "nc:main:u1:{0}:0"]);
    let before = demo.nodes[1].operator.metric("narrowcast_delivery_gaps_total");

    send(&mut alice, "bob", json!("send me 10")).await;
    assert_eq!(frame(&mut bob).await["message"]["body"], "send me 10");
    let genuine = overhear(&mut ear, "send me 10");
    publish_to_all(&mut mouth, &replaced(&genuine, "send me 10", "send me 99"));
    super::rooms::add(&here, "r", "carol").await;
    let membership = overhear(&mut ear, "r carol ");
    publish_to_all(&mut mouth, &replaced(&membership, "user.carol", "user.eve.."));
    for _ in 0..50 {
        publish_to_all(&mut mouth, b"garbage");
    }
    let malformed = || demo.nodes[1].operator.metric("narrowcast_bus_malformed_total");
    eventually("what was forged came and was counted", || malformed() == 52).await;

    send(&mut alice, "bob", json!("the next")).await;
    assert_eq!(frame(&mut bob).await["message"]["body"], "the next", "and nothing before it");
    let refused = say(&mut eve, "r", json!("let me in")).await;
    assert_eq!(refused["code"], "not_found", "{refused}");
    let operator = &demo.nodes[1].operator;
    assert_eq!(operator.metric("narrowcast_delivery_gaps_total"), before, "garbage is no break");
    assert_eq!(operator.metric("narrowcast_watermark_frozen"), 0);
    assert_eq!(operator.readiness().1, "ready");
}

/// A row of a live node whose envelopes this node cannot read: it writes them as the node's own,
/// but for who it is.
fn other_node(own: &Heartbeat, counter: u64, form: EnvelopeForm) -> Heartbeat {
    let about = narrowcast::cluster::NodeInfo {
        node: "other".into(),
        boot: [9; 16],
        envelopes: form,
        ..(*own.about).clone()
    };
    let shards = own.shards.iter().cloned().map(|mut shard| {
        shard.runs.clear();
        shard
    });
    Heartbeat {
        incarnation: narrowcast::cluster::Incarnation(77),
        counter,
        shards: shards.collect(),
        settled: own.settled + Duration::from_secs(1),
        decided: own.decided + Duration::from_secs(1),
        about: Arc::new(about),
        ..own.clone()
    }
}

/// Lets the other node live until something holds.
async fn lives_until(store: &dyn Store, form: Option<EnvelopeForm>, holds: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    for counter in 1.. {
        let rows = store.heartbeats().await.expect("heartbeats");
        let own = rows.iter().find(|row| row.about.node == "n1").expect("its own row");
        let form = form.unwrap_or(own.about.envelopes);
        store.write_heartbeat(other_node(own, counter, form)).await.expect("it is written");
        if holds() {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_live_node_whose_envelopes_cannot_be_read_is_a_break() {
    for (form, is_read) in [(None, true), (Some(EnvelopeForm { version: 1, key: 1 }), false)] {
        let home = tempfile::tempdir().expect("a directory");
        let plan = ClusterOptions { nodes: 1, unlimited: true, ..ClusterOptions::default() };
        let config = Arc::new(plan.config(1).expect("a configuration"));
        let store = open_store(&config, home.path()).expect("a store");
        let (bus, machine) = (memory_bus(&config), MachineClock::default());
        let node = Node::start(&NodeOptions { config, bus, store: Arc::clone(&store), machine });
        let node = node.expect("it starts");
        eventually("it is ready", || node.readiness().verdict().1.is_empty()).await;
        let metrics = node.metrics();
        eventually("its watermark moves", || metrics.watermark.frozen.get() == 0).await;
        let is_known = || node.live_nodes() == 2;
        lives_until(&*store, form, is_known).await;
        let now = Micros(metrics.watermark.micros.get() as u64);
        let is_judged = || {
            let frozen = metrics.watermark.frozen.get() == 1;
            if is_read { Micros(metrics.watermark.micros.get() as u64) > now } else { frozen }
        };
        lives_until(&*store, form, is_judged).await;
        node.stop().await;
        store.close().await;
    }
}
