//! Messages that are kept for a time, on a server that forgets them.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, READY};
use crate::cluster::chat::{history, login, send};
use crate::cluster::resume::resume;
use crate::cluster::rooms::{frame, room, say};
use crate::harness::{RedisServer, token};

/// A day takes long to wait for.
const SECONDS: u32 = 2;

async fn room_history(client: &mut Client) -> Value {
    let page = json!({"op": "history", "conversation": "room.r"});
    client.ask(page).await.expect("an answer")["messages"].clone()
}

/// Waits until nothing is left of two conversations.
async fn forgotten(client: &mut Client) {
    let until = std::time::Instant::now() + READY;
    while !history(client, "bob").await.is_empty() || room_history(client).await != json!([]) {
        assert!(std::time::Instant::now() < until, "they expire");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn what_expired_is_gone_and_conversations_go_on() {
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let keyspace = Keyspace::on_the_shared_server().keeping(1);
    let mut plant = Plant::start(2, keyspace, &layouts(&layout, &[&layout])).await;
    plant.keyspace().expire_within("messages", SECONDS).await;
    room(&plant.url(0), "r", "all", &["alice", "bob"]).await;
    let mut alice = login(&plant.url(0), &token("alice")).await;
    let away = resume(&plant.url(1), &token("bob"), None).await.text();
    send(&mut alice, "bob", json!("soon gone")).await;
    assert_eq!(say(&mut alice, "r", json!("soon gone")).await["op"], "sent");
    forgotten(&mut alice).await;
    // Who comes back for them finds nothing, and no error: the nodes believe in the day.
    let mut bob = resume(&plant.url(1), &token("bob"), Some(&away)).await;
    assert_eq!(bob.missed, Vec::<Value>::new());
    bob.assert_whole();
    let inbox = alice.ask(json!({"op": "inbox"})).await.expect("an answer");
    let listed = inbox["conversations"].as_array().expect("a list");
    let names: Vec<&Value> = listed.iter().map(|one| &one["conversation"]).collect();
    assert!(names.contains(&&json!("dm.alice.bob")), "the conversation is still his: {inbox}");
    assert!(listed.iter().all(|one| one["last"].is_null()), "{inbox}");
    plant.keyspace().expire_within("messages", 0).await;
    send(&mut alice, "bob", json!("kept")).await;
    let kept = history(&mut alice, "bob").await;
    assert_eq!(kept.iter().map(|(_, body)| body).collect::<Vec<_>>(), [&json!("kept")]);
    loop {
        let frame = frame(&mut bob.client).await;
        if frame["op"] == "message" {
            assert_eq!(frame["message"]["body"], "kept");
            break;
        }
    }
    drop((alice, bob));
    plant.end_all();
}
