//! What no client knows: clients of this version go on behind it.

use narrowcast::client::Client;
use serde_json::json;

use super::raw::{Raw, hello};
use super::tokens::token;
use super::{node_with, url};
use crate::cluster::chat::{next, send};

#[tokio::test]
async fn a_client_goes_on_behind_a_frame_that_it_does_not_know() {
    let demo = node_with("1", &[("LISTEN__UNKNOWN_FRAMES", "true")]);
    let mut raw = Raw::upgraded(url(&demo)).await;
    raw.send(&hello(&token("carol"))).await;
    let ready = raw.receive_json().await;
    assert_eq!((&ready["op"], &ready["x_unknown"]), (&json!("ready"), &json!(1)), "{ready}");
    assert_eq!(raw.receive_json().await["op"], "x_unknown");
    assert_eq!(raw.receive_json().await["op"], "cursor");
    let mut alice = Client::login(url(&demo), &token("alice")).await.expect("it goes on");
    let mut bob = Client::login(url(&demo), &token("bob")).await.expect("it goes on");
    send(&mut alice, "bob", json!("Hi!")).await;
    while next(&mut bob).await["op"] != "message" {}
}

#[tokio::test]
async fn a_node_that_is_not_told_to_sends_none() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::upgraded(url(&demo)).await;
    raw.send(&hello(&token("carol"))).await;
    let ready = raw.receive_json().await;
    assert!(ready.get("x_unknown").is_none(), "{ready}");
    assert_eq!(raw.receive_json().await["op"], "cursor");
}
