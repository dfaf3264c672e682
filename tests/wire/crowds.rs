//! More connections and requests over HTTP than there are places for.

use std::time::{Duration, Instant};

use super::http::{ask, bearing, refused, request, service};
use super::raw::Raw;
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::harness::PATIENCE;

/// Between two looks at whether a place is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whether a request is answered with 200 on a connection of its own. One that there is no place
/// for ends without a word.
async fn is_served(node: &str, request: &str) -> bool {
    let mut raw = Raw::connect(node).await;
    let last = request.replace("host: a", "host: a\r\nconnection: close");
    let _sent = raw.try_send(last.as_bytes()).await;
    raw.drain().await.starts_with(b"HTTP/1.1 200")
}

fn publish(token: &str) -> String {
    let body = r#"{"events":[{"subject":"topic.a","data":1}]}"#;
    bearing(token, "POST", "/v1/publish", body)
}

/// A request whose body was asked for, and the body.
async fn under_way(node: &str, token: &str) -> (Raw, String) {
    let request = publish(token).replace("host: a", "host: a\r\nexpect: 100-continue");
    let at = request.find("{\"events").expect("the body");
    let mut raw = Raw::connect(node).await;
    assert_eq!(raw.http(&request[..at]).await.status, 100);
    (raw, request[at..].to_owned())
}

/// Whoever asks again and again without a token keeps no place from those who have one.
#[tokio::test]
async fn strangers_keep_no_handshake() {
    let strangers = [
        (request("GET", "/v1/rooms/r", &[], ""), 401),
        (bearing("x", "GET", "/v1/openapi.json", ""), 401),
        (request("GET", "/v1/x", &[], ""), 404),
        (request("PATCH", "/v1/rooms/r", &[], ""), 405),
        (request("GET", "/v1/rooms/a%zz", &[], ""), 400),
        (request("OPTIONS", "/v1/rooms/r", &[], ""), 204),
        (request("GET", "/v1/ws", &[], ""), 426),
    ];
    let bound = strangers.len().to_string();
    let good = bearing(&token("alice"), "GET", "/v1/openapi.json", "");
    for workers in WORKERS {
        let keys = [("LISTEN__HANDSHAKES", &*bound), ("TIMEOUTS__HEADER_TIMEOUT_MS", "60000")];
        let demo = node_with(workers, &keys);
        let mut crowd = Vec::new();
        for (request, status) in &strangers {
            let mut raw = Raw::connect(url(&demo)).await;
            assert_eq!(raw.http(request).await.status, *status, "{request}");
            crowd.push((raw, request));
        }
        let until = Instant::now() + PATIENCE;
        while !is_served(url(&demo), &good).await {
            assert!(Instant::now() < until, "strangers hold all {bound} handshakes");
            for (raw, request) in &mut crowd {
                let _sent = raw.try_send(request.as_bytes()).await;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        for (mut raw, request) in crowd {
            let rest = raw.drain().await;
            assert_eq!(String::from_utf8_lossy(&rest), "", "one answer a stranger: {request}");
        }
    }
}

/// Bodies that trickle hold places: those of one user are few, and others have theirs.
#[tokio::test]
async fn a_user_has_so_many_requests_in_flight() {
    for workers in WORKERS {
        let keys =
            [("LIMITS__USER_REQUESTS_IN_FLIGHT", "2"), ("TIMEOUTS__BODY_TIMEOUT_MS", "60000")];
        let demo = node_with(workers, &keys);
        let node = url(&demo);
        let (alice, shop) = (token("alice"), service());
        let (mut first, body) = under_way(node, &alice).await;
        let _second = under_way(node, &alice).await;
        let told = "2 requests of the user are in flight here, as many as \
                    `limits.user_requests_in_flight` allows";
        let answer = refused(node, &publish(&alice), 429, "limit_reached", told).await;
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"), "its body is not waited for");
        let read = bearing(&alice, "GET", "/v1/users/alice/inbox", "");
        refused(node, &read, 429, "limit_reached", told).await;
        assert_eq!(ask(node, &publish(&token("bob"))).await.status, 202, "he has his own");
        let services = [
            under_way(node, &shop).await,
            under_way(node, &shop).await,
            under_way(node, &shop).await,
        ];
        for (mut raw, body) in services {
            assert_eq!(raw.http(&body).await.status, 202, "a service acts for many");
        }
        assert_eq!(first.http(&body).await.status, 202);
        assert_eq!(ask(node, &publish(&alice)).await.status, 202, "a place came back");
    }
}
