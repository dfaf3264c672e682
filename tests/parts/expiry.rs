//! Messages that are kept for a time, on a server that forgets them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use narrowcast::client::Client;
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus};
use serde_json::{Value, json};

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, READY};
use crate::cluster::chat::{history, login, send};
use crate::cluster::resume::resume;
use crate::cluster::rooms::{room, say};
use crate::harness::{RedisServer, eventually_within, token};

const DAY: i32 = 24 * 60 * 60;

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn the_server_is_told_when_to_forget_a_message() {
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let keyspace = Keyspace::on_the_shared_server().keeping(1);
    let mut plant = Plant::start(1, keyspace, &layouts(&layout, &[&layout])).await;
    let mut alice = login(&plant.url(0), &token("alice")).await;
    send(&mut alice, "bob", json!("for a day")).await;
    let left = plant.keyspace().seconds_left().await;
    assert!(matches!(left[..], [Some(left)] if left > DAY - 600 && left <= DAY), "{left:?}");
    drop(alice);
    plant.end_all();
}

async fn room_history(client: &mut Client) -> Value {
    let page = json!({"op": "history", "conversation": "room.r"});
    client.ask(page).await.expect("an answer")["messages"].clone()
}

/// A node of this process on a store that forgets within seconds: a configuration says days.
async fn forgetful(keyspace: &Keyspace, home: &std::path::Path, kept: Duration) -> Node {
    keyspace.apply_schema(home);
    let plan = ClusterOptions { nodes: 1, unlimited: true, ..ClusterOptions::default() };
    let config = Arc::new(plan.config(1).expect("a configuration"));
    let (bus, store) = (memory_bus(&config), keyspace.open(kept));
    let node = Node::start(&NodeOptions {
        config,
        bus,
        store,
        machine: narrowcast::clock::MachineClock::default(),
    })
    .expect("it starts");
    let ready = || node.readiness().verdict().1.is_empty();
    eventually_within(READY, "it is ready", ready).await;
    node
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_expired_is_gone_and_conversations_go_on() {
    const KEPT: Duration = Duration::from_secs(2);
    let (keyspace, home) = (Keyspace::on_the_shared_server(), tempfile::tempdir());
    let home = home.expect("a directory");
    let node = forgetful(&keyspace, home.path(), KEPT).await;
    let url = format!("ws://{}/v1/ws", node.clients());
    room(&url, "r", "all", &["alice", "bob"]).await;
    let mut alice = login(&url, &token("alice")).await;
    let away = resume(&url, &token("bob"), None).await.text();
    send(&mut alice, "bob", json!("soon gone")).await;
    assert_eq!(say(&mut alice, "r", json!("soon gone")).await["op"], "sent");
    let until = Instant::now() + READY;
    while !history(&mut alice, "bob").await.is_empty()
        || room_history(&mut alice).await != json!([])
    {
        assert!(Instant::now() < until, "they expire");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Who comes back for them is told that he may have missed something.
    let bob = resume(&url, &token("bob"), Some(&away)).await;
    assert_eq!(bob.missed, Vec::<Value>::new());
    assert_eq!(bob.cursor["reason"], "retention", "{}", bob.cursor);
    let inbox = alice.ask(json!({"op": "inbox"})).await.expect("an answer");
    let listed = inbox["conversations"].as_array().expect("a list");
    let names: Vec<&Value> = listed.iter().map(|one| &one["conversation"]).collect();
    assert!(names.contains(&&json!("dm.alice.bob")), "the conversation is still his: {inbox}");
    assert!(listed.iter().all(|one| one["last"].is_null()), "{inbox}");
    send(&mut alice, "bob", json!("new")).await;
    assert_eq!(history(&mut alice, "bob").await.len(), 1);
    drop((alice, bob));
    node.drain();
    node.stop().await;
}
