//! How much of one session may be unanswered at once.

use serde_json::json;

use super::raw::{Raw, text};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// Tries that overtake their answer are one message, and cannot become another.
#[tokio::test]
async fn sends_with_one_nonce_in_flight_at_once_are_one_message() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        let request = |id: u64, body: &str, fresh: bool| {
            json!({
                "op": "send", "id": id, "conversation": "user.bob", "body": body, "nonce": "n",
                "fresh": fresh,
            })
        };
        let tries = [(1, "a", true), (2, "a", false), (3, "b", false), (4, "a", true)];
        let packet: Vec<u8> = tries
            .iter()
            .flat_map(|(id, body, fresh)| text(&request(*id, body, *fresh).to_string()))
            .collect();
        raw.send(&packet).await;
        let (mut ids, mut refused) = (Vec::new(), Vec::new());
        for _ in tries {
            let answer = raw.receive_json().await;
            if answer["op"] == "sent" {
                assert_eq!(answer["message"]["body"], "a");
                ids.push(answer["message"]["id"].clone());
            } else {
                assert_eq!(answer["code"], "nonce_reused", "{answer}");
                refused.push(answer["id"].clone());
            }
        }
        assert_eq!(refused, [3]);
        assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        raw.send(&text(r#"{"op":"history","id":9,"conversation":"user.bob"}"#)).await;
        let history = raw.receive_json().await;
        assert_eq!(history["messages"].as_array().map(Vec::len), Some(1), "{history}");
    }
}

/// Messages that a page of history is made of: to read it takes the store a while.
const PAGE: u64 = 100;

/// A send that waits to be looked up does not lose its place to those behind it. What is looked
/// up waits behind pages of history.
#[tokio::test]
async fn ids_follow_the_order_of_arrival_whatever_is_looked_up() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let filler = "x".repeat(1000);
    for id in 0..PAGE {
        let send = json!({"op": "send", "id": id, "conversation": "user.bob", "body": filler});
        raw.send(&text(&send.to_string())).await;
        assert_eq!(raw.receive_op("sent").await["id"], id);
    }
    let history = json!({"op": "history", "id": 0, "conversation": "user.bob", "limit": PAGE});
    let request = |id: u64| {
        let mut send = json!({"op": "send", "id": id, "conversation": "user.bob", "body": id});
        if id % 3 == 1 {
            send["nonce"] = json!(id.to_string());
        }
        send
    };
    let packet = [history.clone(), history].into_iter().chain((1..=16).map(request));
    let packet: Vec<u8> = packet.flat_map(|frame| text(&frame.to_string())).collect();
    raw.send(&packet).await;
    let mut sent = Vec::new();
    for _ in 0..16 {
        let answer = raw.receive_op("sent").await;
        let id = answer["message"]["id"].as_str().expect("an id").to_owned();
        sent.push((id, answer["id"].as_u64().expect("a number")));
    }
    sent.sort();
    let order: Vec<u64> = sent.into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, (1..=16).collect::<Vec<_>>());
}
