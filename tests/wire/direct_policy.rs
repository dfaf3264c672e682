//! Who may start a direct conversation: `policy.direct`.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing, problem, service};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::frame;
use crate::harness::Demo;

fn node(workers: &str, direct: &str) -> Demo {
    node_with(workers, &[("POLICY__DIRECT", direct)])
}

/// A send and an event, as a session puts them.
fn ops(conversation: &str) -> [Value; 2] {
    [
        json!({"op": "send", "conversation": conversation, "body": "hi"}),
        json!({"op": "signal", "conversation": conversation, "name": "typing", "data": 1}),
    ]
}

/// The same over HTTP.
fn posts(token: &str, from: Option<&str>, conversation: &str) -> [String; 2] {
    let mut message = json!({"conversation": conversation, "body": "hi"});
    let mut event = json!({"conversation": conversation, "name": "typing", "data": 1});
    if let Some(from) = from {
        (message["from"], event["from"]) = (from.into(), from.into());
    }
    let events = json!({ "events": [event] }).to_string();
    [
        bearing(token, "POST", "/v1/messages", &message.to_string()),
        bearing(token, "POST", "/v1/publish", &events),
    ]
}

/// Alice writes somewhere in all ways, and is always told this.
async fn refusals(
    node: &str,
    alice: &mut Client,
    conversation: &str,
    (status, code, part): (u16, &str, &str),
) {
    for op in ops(conversation) {
        let answer = alice.ask(op).await.unwrap();
        assert_eq!(
            (&answer["code"], &answer["retry"]),
            (&json!(code), &json!("never")),
            "{answer}"
        );
        assert!(answer["detail"].as_str().unwrap().contains(part), "{answer}");
    }
    for post in posts(&token("alice"), None, conversation) {
        let answer = ask(node, &post).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let (found, detail) = problem(&answer);
        assert!(found == code && detail.contains(part), "{answer:?}");
    }
}

/// What is told of a conversation of others, and of one that a service has to start.
const UNKNOWN: (u16, &str, &str) = (404, "not_found", "no such conversation");
const NOT_STARTED: (u16, &str, &str) = (403, "forbidden", "`policy.direct` is not \"anyone\"");

/// A session's send and event are accepted, and the other one has both.
async fn write(from: &mut Client, conversation: &str, to: &mut Client) {
    for (op, accepted) in ops(conversation).into_iter().zip(["sent", "ok"]) {
        let answer = from.ask(op).await.unwrap();
        assert_eq!(answer["op"], accepted, "{answer}");
    }
    for heard in ["message", "signal"] {
        assert_eq!(frame(to).await["op"], heard);
    }
}

#[tokio::test]
async fn only_a_service_starts_where_users_may_not_and_then_it_is_open_to_both() {
    for workers in WORKERS {
        let demo = node(workers, "service");
        let node = url(&demo);
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let mut bob = Client::login(node, &token("bob")).await.unwrap();
        refusals(node, &mut alice, "dm.bob.carol", UNKNOWN).await;
        refusals(node, &mut alice, "user.bob", NOT_STARTED).await;
        assert_eq!(
            bob.ask(json!({"op": "ping"})).await.unwrap()["op"],
            "pong",
            "Bob heard nothing"
        );

        let [message, event] = posts(&service(), Some("alice"), "user.bob");
        assert_eq!(ask(node, &message).await.status, 201, "in Alice's name");
        assert_eq!(ask(node, &event).await.status, 202);
        for client in [&mut alice, &mut bob] {
            let [message, event] = [frame(client).await, frame(client).await];
            assert_eq!(message["message"]["from"], "alice", "{message}");
            assert_eq!(event["from"], "alice", "{event}");
        }
        write(&mut alice, "user.bob", &mut bob).await;
        write(&mut bob, "user.alice", &mut alice).await;
        for (post, status) in posts(&token("alice"), None, "user.bob").into_iter().zip([201, 202]) {
            assert_eq!(ask(node, &post).await.status, status);
        }
        // That one alone.
        refusals(node, &mut alice, "user.carol", NOT_STARTED).await;
    }
}

#[tokio::test]
async fn events_come_in_the_order_of_their_session_though_each_waits_for_the_store() {
    let demo = node("3", "service");
    let node = url(&demo);
    let [start, _] = posts(&service(), Some("alice"), "user.bob");
    assert_eq!(ask(node, &start).await.status, 201);
    let alice = Client::login(node, &token("alice")).await.unwrap();
    let mut bob = Client::login(node, &token("bob")).await.unwrap();
    for number in 0..100 {
        let [_, mut typing] = ops("user.bob");
        typing["data"] = (2 * number).into();
        alice.send(&typing.to_string()).await.unwrap();
        typing["data"] = (2 * number + 1).into();
        alice.send(&typing.to_string()).await.unwrap();
        for expected in [2 * number, 2 * number + 1] {
            assert_eq!(frame(&mut bob).await["data"], expected);
        }
    }
}

#[tokio::test]
async fn where_anybody_may_start_the_first_event_and_the_first_send_pass() {
    for workers in WORKERS {
        let demo = node(workers, "anyone");
        let node = url(&demo);
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let mut bob = Client::login(node, &token("bob")).await.unwrap();
        let [_, typing] = ops("user.bob");
        assert_eq!(alice.ask(typing).await.unwrap()["op"], "ok", "before anything was sent");
        assert_eq!(frame(&mut bob).await["op"], "signal");
        write(&mut alice, "user.bob", &mut bob).await;
        write(&mut bob, "user.alice", &mut alice).await;
    }
}
