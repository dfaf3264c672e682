//! One send, tried several times and in several places.

use narrowcast::client::{Client, Device, DeviceOptions, Seen};
use narrowcast::domain::MessageId;
use serde_json::{Value, json};

use super::chat::{history, login, send};
use crate::harness::{Demo, PATIENCE};

/// Sends under a nonce: the answer.
async fn try_to_send(client: &mut Client, nonce: &str, body: &str) -> Value {
    let request = json!({"op": "send", "conversation": "user.bob", "body": body, "nonce": nonce});
    client.ask(request).await.expect("the node answers")
}

/// The same of a client that says that it is the first try.
async fn send_fresh(client: &mut Client, nonce: &str, body: &str) -> Value {
    let request = json!({
        "op": "send", "conversation": "user.bob", "body": body, "nonce": nonce, "fresh": true,
    });
    client.ask(request).await.expect("the node answers")
}

fn id(sent: &Value) -> &str {
    assert_eq!(sent["op"], "sent", "{sent}");
    sent["message"]["id"].as_str().expect("an id")
}

/// Bob's device, in its session.
async fn device(demo: &Demo, node: usize) -> Device {
    let plan = DeviceOptions::new(vec![demo.nodes[node].url.clone()], demo.bob.clone(), "d".into());
    let mut device = Device::new(plan).expect("addresses");
    while !matches!(next(&mut device).await, Seen::Cursor { .. }) {}
    device
}

async fn next(device: &mut Device) -> Seen {
    let next = tokio::time::timeout(PATIENCE, device.next()).await;
    next.expect("something comes").expect("the node wants it back")
}

/// The bodies that a device shows up to `last`, and it.
async fn shown_until(device: &mut Device, last: &str) -> Vec<Value> {
    let mut bodies = Vec::new();
    while bodies.last() != Some(&json!(last)) {
        if let Seen::Message { body, .. } = next(device).await {
            bodies.push(body);
        }
    }
    bodies
}

/// Under which id a device has the one message that it is shown before `last`.
pub async fn placed_until(device: &mut Device, last: &str) -> String {
    let mut placed: Option<MessageId> = None;
    loop {
        if let Seen::Message { id, replaces, body, .. } = next(device).await {
            if body == last {
                return placed.expect("a message").to_string();
            }
            assert_eq!(replaces, placed, "one message, which may move");
            placed = Some(id);
        }
    }
}

#[tokio::test]
async fn another_try_on_any_node_is_the_same_message() {
    let demo = Demo::start(2, &[], &[("WORKERS", "2")]);
    let [url, other_url] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    let mut bobs = device(&demo, 1).await;
    let mut first = login(url, &demo.alice).await;
    let sent = try_to_send(&mut first, "n", "Hi!").await;
    // One writer stores in order: what is acknowledged later is behind the nonce's record.
    send(&mut first, "alice", json!("behind it")).await;
    drop(first);
    for node in [url, other_url] {
        let mut again = login(node, &demo.alice).await;
        assert_eq!(id(&try_to_send(&mut again, "n", "Hi!").await), id(&sent));
        let reused = try_to_send(&mut again, "n", "Ho!").await;
        assert_eq!((&reused["code"], &reused["retry"]), (&json!("nonce_reused"), &json!("never")));
    }
    let mut last = login(other_url, &demo.alice).await;
    send(&mut last, "bob", json!("end")).await;
    assert_eq!(shown_until(&mut bobs, "end").await, ["Hi!", "end"]);
    assert_eq!(history(&mut last, "bob").await.len(), 2);
}

/// Sends a body as it is spelled here.
async fn send_spelled(client: &mut Client, body: &str) -> Value {
    let request =
        format!(r#"{{"op":"send","id":9,"conversation":"user.bob","nonce":"s","body":{body}}}"#);
    client.send(&request).await.expect("it reads");
    loop {
        let answer = client.next_within(PATIENCE).await.expect("the node answers");
        if answer["id"] == 9 {
            return answer;
        }
    }
}

#[tokio::test]
async fn another_try_may_be_spelled_in_another_way() {
    let demo = Demo::start(1, &[], &[]);
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let sent = send_spelled(&mut alice, r#"{"a":9007199254740993,"b":"\u00e9"}"#).await;
    send(&mut alice, "alice", json!("behind the record")).await;
    let again = send_spelled(&mut alice, r#"{ "b": "é", "a": 9007199254740993.0 }"#).await;
    assert_eq!(id(&again), id(&sent));
    let other = send_spelled(&mut alice, r#"{"a":9007199254740992,"b":"é"}"#).await;
    assert_eq!(other["code"], "nonce_reused", "{other}");
}

/// Two nodes that are asked for the same send, each as if it were the first try.
#[tokio::test]
async fn a_send_that_became_two_messages_is_the_larger_everywhere() {
    let demo = Demo::start(2, &[], &[]);
    let mut bobs = device(&demo, 0).await;
    let mut alices = [
        login(&demo.nodes[0].url, &demo.alice).await,
        login(&demo.nodes[1].url, &demo.alice).await,
    ];
    let mut ids = Vec::new();
    for alice in &mut alices {
        ids.push(id(&send_fresh(alice, "n", "Hi!").await).to_owned());
    }
    assert_ne!(ids[0], ids[1], "it was said to be fresh");
    let [alice, other] = &mut alices;
    send(alice, "bob", json!("end")).await;
    let larger = ids.iter().max().expect("two");
    assert_eq!(placed_until(&mut bobs, "end").await, *larger);
    for reader in [alice, other] {
        let history = history(reader, "bob").await;
        assert_eq!((&history[0].0, &history[0].1, history.len()), (larger, &json!("Hi!"), 2));
    }
}

#[tokio::test]
async fn the_larger_of_two_messages_is_what_a_later_try_is_answered() {
    let demo = Demo::start(2, &[], &[]);
    let mut ids = Vec::new();
    for node in &demo.nodes {
        let mut alice = login(&node.url, &demo.alice).await;
        ids.push(id(&send_fresh(&mut alice, "n", "Hi!").await).to_owned());
        send(&mut alice, "alice", json!("behind the record")).await;
    }
    ids.sort();
    let mut later = login(&demo.nodes[1].url, &demo.alice).await;
    assert_eq!(id(&try_to_send(&mut later, "n", "Hi!").await), ids[1]);
}
