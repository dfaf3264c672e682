//! How much of one session may be unanswered at once.

use serde_json::json;

use super::raw::{Raw, text};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// Twenty sends in one packet are read before the store has answered the first.
#[tokio::test]
async fn the_seventeenth_unanswered_send_is_refused_and_the_others_are_not() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        let request = |id| json!({"op": "send", "id": id, "conversation": "user.bob", "body": id});
        let packet: Vec<u8> = (1..=20).flat_map(|id| text(&request(id).to_string())).collect();
        raw.send(&packet).await;
        let (mut sent, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let answer = raw.receive_json().await;
            let id = answer["id"].as_u64().expect("a number");
            if answer["op"] == "sent" {
                sent.push((answer["message"]["id"].as_str().expect("an id").to_owned(), id));
            } else {
                assert_eq!(answer["code"], "limit_reached", "{answer}");
                assert_eq!(answer["retry"], "later");
                refused.push(id);
            }
        }
        sent.sort();
        let order: Vec<u64> = sent.into_iter().map(|(_, id)| id).collect();
        assert_eq!(order, (1..=16).collect::<Vec<_>>(), "message ids follow the order of arrival");
        assert_eq!(refused, [17, 18, 19, 20]);
        raw.send(&text(&request(21).to_string())).await;
        assert_eq!(raw.receive_json().await["op"], "sent", "the places are given back");
    }
}

#[tokio::test]
async fn the_third_unanswered_read_is_refused() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let read = |id| json!({"op": "history", "id": id, "conversation": "user.bob"});
    let packet: Vec<u8> = (1..=3).flat_map(|id| text(&read(id).to_string())).collect();
    raw.send(&packet).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let answer = raw.receive_json().await;
        codes.push((answer["id"].as_u64().expect("a number"), answer["code"].clone()));
    }
    codes.sort_by_key(|(id, _)| *id);
    let refused: Vec<bool> = codes.iter().map(|(_, code)| code == "limit_reached").collect();
    assert_eq!(refused, [false, false, true]);
}
