//! What transcripts do not have: frames about rooms, which are made over HTTP, and about tokens.

use std::collections::BTreeSet;

use narrowcast::auth::Claims;
use narrowcast::client::Client;
use serde_json::json;

use super::document::{Document, Side};
use crate::harness::PATIENCE;
use crate::wire::http::{ask, bearing, service};
use crate::wire::tokens::{claims, now, sign};
use crate::wire::{node_with, url};

/// What a service does, so that a member hears of it.
const CHANGES: [(&str, &str, &str); 6] = [
    ("PUT", "/v1/rooms/r", r#"{"owner":"alice"}"#),
    ("PUT", "/v1/rooms/r/members/bob", ""),
    ("PUT", "/v1/rooms/r/members/bob", r#"{"role":"owner"}"#),
    ("PUT", "/v1/rooms/r", r#"{"title":"R","data":{"icon":"x"}}"#),
    ("POST", "/v1/messages", r#"{"conversation":"room.r","body":"Hi!"}"#),
    ("DELETE", "/v1/rooms/r/members/bob", ""),
];

const HEARD: [&str; 6] = ["token_expiring", "joined", "member", "room_changed", "message", "left"];

#[tokio::test]
async fn frames_about_rooms_and_tokens_are_described() {
    let document = Document::read();
    let demo = node_with("1", &[]);
    // It ends soon, so that the session is told at once.
    let token = sign(&Claims::of_user("bob", now(), 30));
    let mut bob = Client::login(url(&demo), &token).await.expect("let in");
    for (method, path, body) in CHANGES {
        let answer = ask(url(&demo), &bearing(&service(), method, path, body)).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
    }
    let mut missing = BTreeSet::from(HEARD);
    while !missing.is_empty() {
        let next = bob.next_within(PATIENCE).await;
        let frame = next.unwrap_or_else(|error| panic!("{error}; {missing:?} did not come"));
        let checked = document.check(Side::Server, &frame);
        checked.unwrap_or_else(|error| panic!("{frame}: {error}"));
        missing.remove(frame["op"].as_str().expect("an op"));
    }
    let renew = json!({"op": "renew", "token": sign(&claims("bob"))});
    let renewed = bob.ask(renew).await.expect("an answer");
    assert_eq!(
        (&renewed["op"], document.check(Side::Server, &renewed)),
        (&json!("renewed"), Ok(()))
    );
}
