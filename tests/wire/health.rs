//! How a node says how it is: to balancers and monitors, by any method that looks, on both
//! listeners, whatever its clients do.

use serde_json::{Value, json};

use super::http::{bearing, request};
use super::raw::Raw;
use super::tokens::token;
use super::{WORKERS, node_with, serve_by, serve_with, url};
use crate::harness::{Served, eventually};

/// Connections of the operator's port.
const OPERATOR_CONNECTIONS: usize = 256;

/// Files that a node may open whose clients take all of theirs.
const DESCRIPTORS: u32 = 128;

/// Of those, the clients'.
const CLIENTS_OF_DESCRIPTORS: u64 = 17;

/// Head and body, where the connection ends behind them.
async fn last(address: &str, request: &str) -> (String, String) {
    let mut raw = Raw::connect(address).await;
    raw.send(request.replace("host: a", "host: a\r\nconnection: close").as_bytes()).await;
    let answer = String::from_utf8(raw.drain().await).expect("a text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn health_is_looked_at_by_every_method_that_only_looks() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let operator = demo.nodes[0].operator.address();
        let operators = ["/healthz", "/readyz", "/metrics"].map(|path| (operator, path));
        let clients = ["/healthz", "/readyz"].map(|path| (url(&demo), path));
        for (address, path) in operators.into_iter().chain(clients) {
            let (head, body) = last(address, &request("GET", path, &[], "")).await;
            assert!(head.starts_with("HTTP/1.1 200") && !body.is_empty(), "{path}: {head}");
            let (head, body) = last(address, &request("HEAD", path, &[], "")).await;
            assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{path}: {head}");
            assert!(head.contains("content-length: "), "{head}");
            let (head, body) = last(address, &request("OPTIONS", path, &[], "")).await;
            assert!(head.starts_with("HTTP/1.1 204") && body.is_empty(), "{path}: {head}");
            assert!(head.contains("allow: GET, HEAD, OPTIONS"), "{head}");
            let (head, _) = last(address, &request("POST", path, &[], "")).await;
            assert!(head.starts_with("HTTP/1.1 405"), "{path}: {head}");
            assert!(head.contains("allow: GET, HEAD, OPTIONS"), "{head}");
        }
    }
}

#[tokio::test]
async fn what_is_got_can_be_asked_for_without_its_body() {
    let demo = node_with("1", &[]);
    let asked = |method| bearing(&token("alice"), method, "/v1/openapi.json", "");
    let (_, whole) = last(url(&demo), &asked("GET")).await;
    let (head, body) = last(url(&demo), &asked("HEAD")).await;
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    let (head, _) = last(url(&demo), &request("HEAD", "/v1/openapi.json", &[], "")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "no token is wanted, as for GET: {head}");
}

#[tokio::test]
async fn anybody_is_told_the_status_and_the_operator_the_reasons() {
    let demo = node_with("1", &[]);
    let report = async |address: &str| {
        let (_, body) = last(address, &request("GET", "/readyz", &[], "")).await;
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    assert_eq!(report(url(&demo)).await, json!({"status": "ready"}));
    let told = report(demo.nodes[0].operator.address()).await;
    assert_eq!(told, json!({"status": "ready", "reasons": []}));
}

/// Behind a balancer all clients have its address, and so have its probes.
#[tokio::test]
async fn an_address_with_too_many_connections_may_ask_for_the_health() {
    let (_store, served) = serve_with(&[("rates.connections_per_address", "1")]).await;
    let _held = Raw::greeted(&served.url, &token("alice")).await;
    let (head, _) = last(&served.url, &request("GET", "/readyz", &[], "")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (head, _) = last(&served.url, &request("GET", "/v1/openapi.json", &[], "")).await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
}

#[tokio::test]
async fn clients_that_take_all_descriptors_leave_the_operator_some() {
    let start = |config: &std::path::Path| Served::with_descriptors(config, DESCRIPTORS);
    let (_store, served) = serve_by(start, &[("timeouts.header_timeout_ms", "60000")]).await;
    let mut held = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        held.push(Raw::connect(&served.url).await);
    }
    assert_eq!(held[0].drain().await, b"", "it made room for others");
    assert_eq!(served.operator.get("/healthz").0, 200);
    assert_eq!(served.operator.get("/readyz").0, 200);
    let dropped = || served.operator.metric("narrowcast_connections_dropped_total");
    let all = u64::from(2 * DESCRIPTORS);
    eventually("all were accepted", || dropped() + CLIENTS_OF_DESCRIPTORS == all).await;
    let there = || served.operator.sample("narrowcast_connections") as u64;
    eventually("those who ended are gone", || there() == CLIENTS_OF_DESCRIPTORS).await;
    assert_eq!(served.operator.metric("narrowcast_accept_errors_total"), 0);
}

#[tokio::test]
async fn idle_connections_do_not_silence_the_operators_port() {
    let demo = node_with("1", &[]);
    let operator = &demo.nodes[0].operator;
    let mut asking = Raw::connect(operator.address()).await;
    let mut idle = Vec::new();
    for _ in 1..OPERATOR_CONNECTIONS {
        idle.push(Raw::connect(operator.address()).await);
    }
    let look = request("GET", "/healthz", &[], "");
    assert_eq!(asking.http(&look).await.status, 200);
    assert_eq!(operator.get("/healthz").0, 200, "there is always room for one more");
    assert_eq!(idle[0].drain().await, b"", "the one that asked nothing for the longest time ended");
    assert_eq!(asking.http(&look).await.status, 200, "it is older, and asked since");
}
