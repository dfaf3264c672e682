//! The story of three devices on three nodes, told with real parts.

use narrowcast::client::{Client, Device, DeviceOptions, Seen, SendOutcomeSeen};
use serde_json::{Value, json};

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, READY};
use crate::cluster::chat::{history, login, send};
use crate::cluster::rooms::{frame, room, say};
use crate::cluster::watch::world::Nodes;
use crate::harness::{RedisServer, token};

const NODES: usize = 3;

/// Three nodes on two shards.
async fn three_nodes() -> (Vec<RedisServer>, Plant) {
    let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
    let layout = Named::new("a", MANY, &redis);
    let text = layouts(&layout, &[&layout]);
    let plant = Plant::start(NODES, Keyspace::on_the_shared_server(), &text).await;
    (redis, plant)
}

/// The body of the next message, other frames aside.
async fn next_body(client: &mut Client) -> Value {
    loop {
        let frame = frame(client).await;
        if frame["op"] == "message" {
            return frame["message"]["body"].clone();
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_message_reaches_the_devices_of_both_users_and_nobody_else() {
    const ROUNDS: u64 = 20;
    let (_redis, mut plant) = three_nodes().await;
    let mut alice = login(&plant.url(0), &token("alice")).await;
    let mut tablet = login(&plant.url(1), &token("alice")).await;
    let mut carol = login(&plant.url(2), &token("carol")).await;
    let mut bobs = Vec::new();
    for node in 0..NODES {
        bobs.push(login(&plant.url(node), &token("bob")).await);
    }
    let mut ids = Vec::new();
    for number in 0..ROUNDS {
        ids.push(send(&mut alice, "bob", json!(number)).await);
    }
    for device in bobs.iter_mut().chain([&mut tablet]) {
        for number in 0..ROUNDS {
            assert_eq!(next_body(device).await, json!(number));
        }
    }
    send(&mut bobs[2], "alice", json!("answer")).await;
    let (first, others) = bobs.split_at_mut(1);
    for device in [&mut alice, &mut tablet, &mut first[0], &mut others[0]] {
        assert_eq!(next_body(device).await, json!("answer"));
    }
    for node in 0..NODES {
        let mut reader = login(&plant.url(node), &token("alice")).await;
        let stored = history(&mut reader, "bob").await;
        let bodies: Vec<Value> = (0..ROUNDS).map(|number| json!(number)).collect();
        let (answer, messages) = stored.split_last().expect("messages");
        assert_eq!(answer.1, "answer");
        let expected: Vec<(String, Value)> = ids.iter().cloned().zip(bodies).collect();
        assert_eq!(messages, expected, "n{}", node + 1);
    }
    // What comes to Carol first is hers: nothing of all this did.
    send(&mut alice, "carol", json!("for you")).await;
    assert_eq!(next_body(&mut carol).await, json!("for you"));
    drop((alice, tablet, carol, bobs));
    plant.end_all();
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_room_speaks_to_its_members_on_all_nodes() {
    let (_redis, mut plant) = three_nodes().await;
    room(&plant.url(0), "r", "all", &["ann", "ben", "cat"]).await;
    let mut members = Vec::new();
    for (node, user) in ["ann", "ben", "cat"].iter().enumerate() {
        members.push(login(&plant.url(node), &token(user)).await);
    }
    let mut dan = login(&plant.url(1), &token("dan")).await;
    for speaker in 0..members.len() {
        let sent = say(&mut members[speaker], "r", json!(speaker)).await;
        assert_eq!(sent["op"], "sent", "{sent}");
        for (listener, member) in members.iter_mut().enumerate() {
            if listener != speaker {
                assert_eq!(next_body(member).await, json!(speaker), "listener {listener}");
            }
        }
    }
    let refused = say(&mut dan, "r", json!("let me in")).await;
    assert_eq!(refused["code"], "not_found", "{refused}");
    let page = json!({"op": "history", "conversation": "room.r"});
    let page = members[2].ask(page).await.expect("an answer");
    let bodies: Vec<&Value> =
        page["messages"].as_array().expect("a list").iter().map(|it| &it["body"]).collect();
    assert_eq!(bodies, [&json!(2), &json!(1), &json!(0)]);
    drop((members, dan));
    plant.end_all();
}

async fn try_to_send(client: &mut Client) -> String {
    let request = json!({"op": "send", "conversation": "user.bob", "body": "Hi!", "nonce": "n"});
    let answer = client.ask(request).await.expect("the node answers");
    assert_eq!(answer["op"], "sent", "{answer}");
    answer["message"]["id"].as_str().expect("an id").to_owned()
}

/// The record of a nonce is written off the way of the answer, so an early try may become a second
/// message, with a larger id: from some time on every try is the last one, and it is what is shown.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn another_try_on_another_node_is_the_same_message() {
    let (_redis, mut plant) = three_nodes().await;
    let alice = token("alice");
    let mut last = try_to_send(&mut login(&plant.url(0), &alice).await).await;
    let settle = async {
        let mut other = login(&plant.url(1), &alice).await;
        loop {
            let again = try_to_send(&mut other).await;
            if again == std::mem::replace(&mut last, again.clone()) {
                return again;
            }
        }
    };
    let last = tokio::time::timeout(READY, settle).await.expect("the record is found");
    for node in 0..NODES {
        let mut client = login(&plant.url(node), &alice).await;
        assert_eq!(try_to_send(&mut client).await, last, "n{}", node + 1);
        let shown = history(&mut client, "bob").await;
        assert_eq!(shown, [(last.clone(), json!("Hi!"))], "n{}", node + 1);
    }
    plant.end_all();
}

async fn next(device: &mut Device) -> Seen {
    let next = tokio::time::timeout(READY, device.next()).await;
    next.expect("something comes").expect("the node wants it back")
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_device_whose_node_was_killed_goes_on_at_another() {
    const BEFORE: u64 = 10;
    const ALL: u64 = 60;
    let (_redis, mut plant) = three_nodes().await;
    let device = |user: &str, node: usize| {
        let plan = DeviceOptions::new(plant.urls(), token(user), format!("d{node}"));
        let mut device = Device::new(plan).expect("addresses");
        device.reconnect(node);
        device
    };
    let (mut alice, mut bob) = (device("alice", 0), device("bob", 2));
    for it in [&mut alice, &mut bob] {
        while !matches!(next(it).await, Seen::Cursor { .. }) {}
    }
    let (mut heard, mut nodes) = (Vec::new(), Vec::new());
    for number in 0..ALL {
        alice.send("user.bob", json!(number)).expect("there is room");
        while !matches!(
            next(&mut alice).await,
            Seen::Answered { outcome: SendOutcomeSeen::Sent { .. }, .. }
        ) {}
        if number == BEFORE {
            plant.kill(2);
        }
    }
    while heard.len() < ALL as usize {
        match next(&mut bob).await {
            Seen::Message { body, .. } => heard.push(body),
            Seen::Connected { node } => nodes.push(node),
            Seen::Cursor { resume: Some(resume) } => {
                assert!(resume.resumed && resume.gaps.is_empty(), "{resume:?}");
            }
            _ => {}
        }
    }
    let all: Vec<Value> = (0..ALL).map(|number| json!(number)).collect();
    assert_eq!(heard, all, "nothing is missing and nothing comes twice");
    assert!(!nodes.is_empty() && nodes.iter().all(|node| node != "n3"), "{nodes:?}");
    drop((alice, bob));
    plant.end_all();
}
