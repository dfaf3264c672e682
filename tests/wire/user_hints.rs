//! `/v1/ws?user=`: a hint for load balancers that grants nothing.

use serde_json::json;

use super::raw::{Raw, UPGRADE, hello, text};
use super::tokens::token;
use super::{WORKERS, node_with, url};

#[tokio::test]
async fn a_hint_changes_nothing_at_the_node() {
    let long = format!("?user={}", "a".repeat(4096));
    let hints =
        ["?user=alice", "?user=", "?user=bob", "?user=bob&user=carol", "?user=%zz", "?user", &long];
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut bob = Raw::greeted(url(&demo), &token("bob")).await;
        for hint in hints {
            let mut raw = Raw::connect(url(&demo)).await;
            let upgrade = UPGRADE.replace("/v1/ws", &format!("/v1/ws{hint}"));
            assert_eq!(raw.http(&upgrade).await.status, 101, "{hint}");
            raw.send(&hello(&token("alice"))).await;
            let ready = raw.receive_op("ready").await;
            assert_eq!(ready["user"], "alice", "{hint}");
            raw.receive_op("cursor").await;
            let send = json!({"op": "send", "id": 1, "conversation": "user.bob", "body": hint});
            raw.send(&text(&send.to_string())).await;
            raw.receive_op("sent").await;
            let message = bob.receive_op("message").await["message"].take();
            assert_eq!((&message["from"], &message["body"]), (&json!("alice"), &json!(hint)));
        }
    }
}

#[tokio::test]
async fn a_hint_without_a_token_opens_nothing() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::connect(url(&demo)).await;
    let upgrade = UPGRADE.replace("/v1/ws", "/v1/ws?user=alice");
    assert_eq!(raw.http(&upgrade).await.status, 101);
    raw.send(&text(&json!({"op": "hello"}).to_string())).await;
    assert_eq!(raw.receive_json().await["op"], "error");
}
