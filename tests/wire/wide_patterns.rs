//! Patterns with a wildcard as their second token, on one node: whoever is granted them hears
//! everything that they match, once.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::tokens::{granting, token};
use super::{WORKERS, node_with, url};
use crate::harness::untimed;
use crate::harness::{Demo, PATIENCE};

/// A slow machine must not make a confirmation late.
const PATIENT: [(&str, &str); 1] = [("TIMEOUTS__WIDE_SUBSCRIBE_TIMEOUT_MS", "15000")];

/// So many that each of three workers has some, with high probability.
const LISTENERS: usize = 9;

async fn login(demo: &Demo, token: &str) -> Client {
    Client::login(url(demo), token).await.expect("the node lets the user in")
}

async fn ask(client: &mut Client, request: Value) -> Value {
    client.ask(request).await.expect("the node answers")
}

async fn subscribe(client: &mut Client, patterns: &[&str]) {
    let answer = ask(client, json!({"op": "subscribe", "patterns": patterns})).await;
    assert_eq!(answer["op"], "ok", "{answer}");
}

async fn publish(client: &mut Client, subject: &str) {
    let answer = ask(client, json!({"op": "publish", "subject": subject, "data": 1})).await;
    assert_eq!(answer["op"], "ok", "{answer}");
}

/// The next events must be about these subjects, in order.
async fn hears(client: &mut Client, subjects: &[&str]) {
    for subject in subjects {
        let frame = client.next_within(PATIENCE).await.expect("something comes");
        assert_eq!(untimed(frame), json!({"op": "event", "subject": subject, "data": 1}));
    }
}

#[tokio::test]
async fn everything_is_heard_once_by_whatever_mix_of_patterns() {
    const MIXES: [&[&str]; 3] = [
        &["topic.>"],
        &["topic.*", "topic.>", "presence.*", "topic.*.x"],
        &["topic.>", "topic.a.>", "topic.a.x", "topic.b"],
    ];
    for workers in WORKERS {
        let demo = node_with(workers, &PATIENT);
        let mut listeners = Vec::new();
        for number in 0..LISTENERS {
            let mut listener = login(&demo, &token(&format!("user-{number}"))).await;
            subscribe(&mut listener, MIXES[number % MIXES.len()]).await;
            listeners.push(listener);
        }
        let mut alice = login(&demo, &demo.alice).await;
        let subjects = ["topic.a", "topic.a.x", "topic.b", "topic.b.x", "topic.c.y.z"];
        for subject in subjects {
            publish(&mut alice, "user.alice.x").await;
            publish(&mut alice, subject).await;
        }
        for listener in &mut listeners {
            hears(listener, &subjects).await;
        }
        publish(&mut listeners[0], "topic.end").await;
        for listener in &mut listeners {
            hears(listener, &["topic.end"]).await;
        }
    }
}

#[tokio::test]
async fn what_was_taken_away_is_not_heard_and_the_other_patterns_stay() {
    for workers in WORKERS {
        let demo = node_with(workers, &PATIENT);
        let [mut alice, mut bob] = [login(&demo, &demo.alice).await, login(&demo, &demo.bob).await];
        subscribe(&mut bob, &["topic.>", "topic.a.>"]).await;
        let request = json!({"op": "unsubscribe", "patterns": ["topic.>"]});
        assert_eq!(ask(&mut bob, request).await["op"], "ok");
        publish(&mut alice, "topic.b.x").await;
        publish(&mut alice, "topic.a.x").await;
        hears(&mut bob, &["topic.a.x"]).await;
        subscribe(&mut bob, &["topic.*.x"]).await;
        publish(&mut alice, "topic.b.y").await;
        publish(&mut alice, "topic.b.x").await;
        hears(&mut bob, &["topic.b.x"]).await;
    }
}

#[tokio::test]
async fn a_hello_may_name_them() {
    for workers in WORKERS {
        let demo = node_with(workers, &PATIENT);
        let mut bob = Client::connect(url(&demo)).await.expect("the node is there");
        let hello = json!({"op": "hello", "token": demo.bob, "subscribe": ["topic.>", "room.x"]});
        let ready = ask(&mut bob, hello).await;
        assert_eq!((&ready["op"], &ready["refused"]), (&json!("ready"), &json!(["room.x"])));
        let cursor = bob.next_within(PATIENCE).await.expect("it is live");
        assert_eq!(cursor["op"], "cursor");
        let mut alice = login(&demo, &demo.alice).await;
        publish(&mut alice, "topic.a.x").await;
        hears(&mut bob, &["topic.a.x"]).await;
    }
}

#[tokio::test]
async fn they_take_a_grant_of_their_own() {
    let demo = node_with("1", &[]);
    let mut carol =
        login(&demo, &granting("carol", &[], &["topic.a.>", "topic.*.x", "presence.bob"])).await;
    for refused in ["topic.>", "topic.*", "topic.*.y", "topic.*.>", "presence.*", "presence.>"] {
        let request = json!({"op": "subscribe", "patterns": ["topic.a.b", refused]});
        let answer = ask(&mut carol, request).await;
        assert_eq!(answer["code"], "forbidden", "{answer}");
        assert_eq!(answer["detail"], format!("`{refused}` is not granted"));
    }
    for unknown in ["user.*", "room.>", "*.a", ">"] {
        let answer = ask(&mut carol, json!({"op": "subscribe", "patterns": [unknown]})).await;
        assert_eq!(answer["code"], "bad_request", "{answer}");
    }
    subscribe(&mut carol, &["topic.*.x"]).await;
    let mut alice = login(&demo, &demo.alice).await;
    publish(&mut alice, "topic.a.b").await;
    publish(&mut alice, "topic.c.x").await;
    hears(&mut carol, &["topic.c.x"]).await;
}

#[tokio::test]
async fn they_count_as_patterns() {
    let demo = node_with("1", &[&PATIENT[..], &[("LIMITS__PATTERNS", "2")]].concat());
    let mut bob = login(&demo, &demo.bob).await;
    subscribe(&mut bob, &["topic.>", "presence.*"]).await;
    let answer = ask(&mut bob, json!({"op": "subscribe", "patterns": ["topic.*"]})).await;
    assert_eq!(answer["code"], "limit_reached", "{answer}");
}
