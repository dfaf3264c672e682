//! More sessions of one topic, or of one user, than are handed anything in one step: each has
//! everything, in order, and nothing behind its goodbye.

use narrowcast::client::Client;
use serde_json::json;

use super::raw::{Raw, text};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// Sessions: above the 512 of one step, and below them once the leavers left.
const CROWD: usize = 600;

/// A user has fewer sessions by default.
const SESSIONS: (&str, &str) = ("LIMITS__SESSIONS_PER_USER_HERE", "1000");

/// How many of them leave meanwhile.
const LEAVERS: usize = 150;

/// Events that are published without a pause.
const EVENTS: usize = 200;

fn published(number: usize) -> Vec<u8> {
    let event = json!({"op": "publish", "subject": "topic.crowd.x", "data": number});
    text(&event.to_string())
}

/// Sessions of one user, who is on the publisher's worker or not, subscribed to the topic.
async fn crowd(node: &str, user: &str, size: usize) -> Vec<Raw> {
    let subscribe = json!({"op": "subscribe", "id": 1, "patterns": ["topic.crowd.*"]}).to_string();
    let mut crowd = Vec::new();
    for _ in 0..size {
        let mut one = Raw::greeted(node, &token(user)).await;
        one.send(&text(&subscribe)).await;
        one.receive_op("ok").await;
        crowd.push(one);
    }
    crowd
}

/// Reads events in order until the last one, or until a goodbye is answered.
async fn events_in_order(session: &mut Raw) -> usize {
    let mut next = 0;
    loop {
        let frame = session.receive_json().await;
        match frame["op"].as_str() {
            Some("event") => {
                assert_eq!(frame["data"], next, "each once, in order");
                next += 1;
            }
            Some("ok") => return next,
            Some("cursor") => {}
            _ => panic!("{frame}"),
        }
        if next == EVENTS {
            return next;
        }
    }
}

#[tokio::test]
async fn a_crowd_that_shrinks_has_its_events_in_order() {
    let unsubscribe = json!({"op": "unsubscribe", "id": 2, "patterns": ["topic.crowd.*"]});
    let unsubscribe = text(&unsubscribe.to_string());
    for workers in WORKERS {
        let demo = node_with(workers, &[SESSIONS]);
        let node = url(&demo);
        let mut staying = crowd(node, "alice", CROWD - LEAVERS).await;
        let mut leaving = crowd(node, "alice", LEAVERS).await;
        let mut publisher = Raw::greeted(node, &token("alice")).await;
        let half = EVENTS / 2;
        publisher.send(&(0..half).flat_map(published).collect::<Vec<u8>>()).await;
        for one in &mut leaving {
            one.send(&unsubscribe).await;
        }
        publisher.send(&(half..EVENTS).flat_map(published).collect::<Vec<u8>>()).await;
        for one in &mut staying {
            assert_eq!(events_in_order(one).await, EVENTS);
        }
        let ping = text(r#"{"op":"ping"}"#);
        for one in &mut leaving {
            // All events were handed over by now, so what follows the goodbye is the last of it.
            events_in_order(one).await;
            one.send(&ping).await;
            while let Some(op) = one.receive_json().await["op"].as_str() {
                assert!(matches!(op, "cursor" | "ok" | "pong"), "{op} behind the goodbye");
                if op == "pong" {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_user_with_very_many_sessions_has_his_messages_on_each() {
    for workers in WORKERS {
        let demo = node_with(workers, &[SESSIONS]);
        let node = url(&demo);
        let mut sessions = crowd(node, "alice", CROWD).await;
        let mut bob = Client::login(node, &token("bob")).await.unwrap();
        for number in 0..5 {
            let send = json!({"op": "send", "conversation": "user.alice", "body": number});
            assert_eq!(bob.ask(send).await.unwrap()["op"], "sent");
            let event = json!({"op": "signal", "conversation": "user.alice", "name": "typing",
                "data": number});
            assert_eq!(bob.ask(event).await.unwrap()["op"], "ok");
        }
        for one in &mut sessions {
            for number in 0..5 {
                assert_eq!(one.receive_op("message").await["message"]["body"], number);
                assert_eq!(one.receive_op("signal").await["data"], number);
            }
        }
    }
}
