//! Ids of every spelling: users by their raw ids, and one canonical answer.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing, service};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::frame;

const RAW: &str = "bob@example.com";
const CANONICAL: &str = "bob@example%2Ecom";
const CONVERSATION: &str = "dm.alice.bob@example%2Ecom";

/// The answer to a GET, which must be 200.
async fn get(node: &str, token: &str, path: &str) -> Value {
    let answer = ask(node, &bearing(token, "GET", path, "")).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

#[tokio::test]
async fn every_spelling_is_the_one_conversation() {
    let demo = node_with("1", &[]);
    let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
    let mut bob = Client::login(url(&demo), &token(RAW)).await.unwrap();
    let named = [
        json!({"user": RAW}),
        json!({"conversation": "user.bob@example.com"}),
        json!({"conversation": "user.bob%40example%2ecom"}),
        json!({"conversation": "dm.%61lice.bob@example%2ecom"}),
        json!({ "conversation": CONVERSATION }),
    ];
    for with in &named {
        let op = |op: &str, more: Value| {
            let mut request = with.clone();
            let fields = request.as_object_mut().expect("an object");
            fields.insert("op".into(), op.into());
            fields.extend(more.as_object().expect("an object").clone());
            request
        };
        let sent = alice.ask(op("send", json!({"body": 1}))).await.unwrap();
        assert_eq!(sent["message"]["conversation"], CONVERSATION, "{with}: {sent}");
        let pushed = frame(&mut bob).await;
        assert_eq!(pushed["message"], sent["message"]);
        let page = alice.ask(op("history", json!({"limit": 1}))).await.unwrap();
        assert_eq!(
            (&page["conversation"], &page["messages"][0]),
            (&CONVERSATION.into(), &sent["message"])
        );
        let upto = &sent["message"]["id"];
        let marked = alice.ask(op("mark_read", json!({ "upto": upto }))).await.unwrap();
        assert_eq!(marked["op"], "ok", "{marked}");
        let signal = op("signal", json!({"name": "typing", "data": 1}));
        assert_eq!(alice.ask(signal).await.unwrap()["op"], "ok");
        let heard = frame(&mut bob).await;
        assert_eq!(
            (&heard["op"], &heard["conversation"]),
            (&"signal".into(), &CONVERSATION.into())
        );
    }
    let both = json!({"op": "send", "user": RAW, "conversation": "user.bob", "body": 1});
    let refused = alice.ask(both).await.unwrap();
    assert_eq!(refused["detail"], "`conversation` and `user` exclude each other");
}

#[tokio::test]
async fn subjects_and_patterns_have_every_spelling_too() {
    let demo = node_with("1", &[]);
    let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
    let subscribe = json!({"op": "subscribe", "patterns": ["topic.%61%2eb.*"]});
    assert_eq!(alice.ask(subscribe).await.unwrap()["op"], "ok");
    let publish = json!({"op": "publish", "subject": "topic.a%2Eb.%63", "data": 1});
    alice.send(&publish.to_string()).await.unwrap();
    assert_eq!(frame(&mut alice).await["subject"], "topic.a%2Eb.c");
    let forbidden = json!({"op": "subscribe", "patterns": ["presence.%61.%62"]});
    let refused = alice.ask(forbidden).await.unwrap();
    assert_eq!(refused["detail"], "`presence.a.b` is not granted");
}

#[tokio::test]
async fn paths_take_raw_ids_encoded_once_and_me() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let (bob, shop) = (token(RAW), service());
        let message = json!({"user": "alice", "body": "Hi!"}).to_string();
        let sent = ask(node, &bearing(&bob, "POST", "/v1/messages", &message)).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let mine = get(node, &bob, "/v1/users/me/inbox").await;
        let entry = &mine["conversations"][0];
        assert_eq!((&entry["kind"], &entry["peer"]), (&"dm".into(), &"alice".into()), "{mine}");
        for path in ["bob@example.com", "bob%40example.com", CANONICAL] {
            let path = format!("/v1/users/{path}/inbox");
            assert_eq!(get(node, &bob, &path).await, mine, "{path}");
            assert_eq!(get(node, &shop, &path).await, mine, "{path}");
        }
        let twice = get(node, &shop, "/v1/users/bob@example%252Ecom/inbox").await;
        assert_eq!(twice["conversations"], json!([]), "another user's, whose id has a `%`");
        let of_alice = get(node, &token("alice"), "/v1/users/me/inbox").await;
        assert_eq!(of_alice["conversations"][0]["peer"], RAW);
        let mut session = Client::login(node, &token("alice")).await.unwrap();
        let by_socket = session.ask(json!({"op": "inbox"})).await.unwrap();
        assert_eq!(by_socket["conversations"], of_alice["conversations"], "on both transports");
        for id in [CONVERSATION.replace('%', "%25"), "user.alice".into()] {
            let page = get(node, &bob, &format!("/v1/conversations/{id}/messages")).await;
            assert_eq!(page["conversation"], CONVERSATION, "{id}");
        }
    }
}
