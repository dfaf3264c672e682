//! `Idempotency-Key`: a message over HTTP is one, however often it is tried.

use serde_json::{Value, json};

use super::http::{ask, bearing, refused, request};
use super::raw::{Answer, Raw};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// Tries of one send, each after its record is stored.
const TRIES: usize = 5;

/// Sends that are tried on two connections at once.
const RACES: usize = 20;

fn to(conversation: &str, body: &str) -> String {
    json!({"conversation": conversation, "body": body}).to_string()
}

/// A send of Alice's under a key.
fn send(key: &str, body: &str) -> String {
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", &*bearer), ("idempotency-key", key)];
    request("POST", "/v1/messages", &headers, body)
}

/// The message that was answered.
fn message(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{answer:?}");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    document["message"].clone()
}

/// Waits until what Alice sent before is recorded: the store takes writes in their order.
async fn recorded(node: &str) {
    let other = bearing(&token("alice"), "POST", "/v1/messages", &to("user.carol", "x"));
    assert_eq!(ask(node, &other).await.status, 201);
}

/// The messages of a conversation, as Alice reads them.
async fn history(node: &str, conversation: &str) -> Vec<Value> {
    let path = format!("/v1/conversations/{conversation}/messages");
    let answer = ask(node, &bearing(&token("alice"), "GET", &path, "")).await;
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    document["messages"].as_array().expect("a page").clone()
}

#[tokio::test]
async fn the_same_send_again_is_the_same_message() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let again = send("order 7", &to("user.bob", "a"));
        let first = message(&ask(node, &again).await);
        assert_eq!((&first["body"], &first["nonce"]), (&json!("a"), &Value::Null));
        assert_eq!(first["dedup"].as_str().map(str::len), Some(11), "{first}");
        for _ in 0..TRIES {
            assert_eq!(message(&ask(node, &again).await), first, "its id among it");
            recorded(node).await;
        }
        let read = history(node, "user.bob").await;
        assert_eq!(read, [first]);
        assert!(!json!(read).to_string().contains("order 7"), "no reader gets the key: {read:?}");
    }
}

#[tokio::test]
async fn another_send_under_the_key_is_refused() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let first = message(&ask(node, &send("k", &to("user.bob", "a"))).await);
        for _ in 0..2 {
            for other in [to("user.bob", "b"), to("user.dave", "a")] {
                let told = "Idempotency-Key was used for another conversation or body";
                refused(node, &send("k", &other), 409, "nonce_reused", told).await;
            }
            recorded(node).await;
        }
        let other = message(&ask(node, &send("K", &to("user.bob", "b"))).await);
        assert_eq!(history(node, "user.bob").await, [other, first]);
        assert_eq!(history(node, "user.dave").await, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn tries_on_two_connections_at_once_are_one_message() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let (mut one, mut other) = (Raw::connect(url(&demo)).await, Raw::connect(url(&demo)).await);
        let mut sent = Vec::new();
        for race in 0..RACES {
            let request = send(&format!("race {race}"), &to("user.bob", "a"));
            let answers = tokio::join!(one.http(&request), other.http(&request));
            let (first, second) = (message(&answers.0), message(&answers.1));
            assert_eq!(first, second);
            sent.insert(0, first);
        }
        assert_eq!(history(url(&demo), "user.bob").await, sent, "the newest first, each once");
    }
}

#[tokio::test]
async fn only_the_first_answer_is_not_marked_as_replayed() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let request = send("k", &to("user.bob", "a"));
        let is_marked = |answer: &Answer| match answer.header("idempotent-replayed") {
            Some(mark) => mark == "true",
            None => false,
        };
        let first = ask(node, &request).await;
        let again = [ask(node, &request).await, ask(node, &request).await];
        assert!(!is_marked(&first), "{first:?}");
        assert!(again.iter().all(is_marked), "{again:?}");
        let other = ask(node, &send("l", &to("user.bob", "a"))).await;
        assert!(!is_marked(&other), "{other:?}");
    }
}

/// Without the key each is a message of its own, so it is the key that tells repeats.
#[tokio::test]
async fn without_a_key_nothing_is_a_repeat() {
    let demo = node_with("3", &[]);
    let plain = bearing(&token("alice"), "POST", "/v1/messages", &to("user.bob", "a"));
    let (one, other) = (ask(url(&demo), &plain).await, ask(url(&demo), &plain).await);
    assert_ne!(message(&one)["id"], message(&other)["id"]);
    assert_eq!(history(url(&demo), "user.bob").await.len(), 2);
}
