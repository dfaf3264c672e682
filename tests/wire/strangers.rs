//! Connections that have not shown a token: how many there may be, who of them makes room, and how
//! much each may say.

use serde_json::json;

use super::http::{ask, problem, request};
use super::raw::{FIN, PING, PONG, Raw, TEXT, UPGRADE, frame, hello, text};
use super::tokens::token;
use super::{WORKERS, closes, node_with, serve_with, url};
use crate::harness::{Operator, Served, eventually};

/// What a stranger is told that is ended after its upgrade.
const OVERLOADED: (u16, &str) = (4100, "overloaded");

/// Bytes of a token, and of a `hello`.
const TOKEN_BYTES: usize = 8192;
const HELLO_BYTES: usize = TOKEN_BYTES + 4096;

fn dropped(operator: &Operator, reason: &str) -> u64 {
    operator.metric(&format!("narrowcast_connections_dropped_total{{reason=\"{reason}\"}}"))
}

/// A connection that says nothing. It is there when this returns, so that the order is known.
async fn silent(served: &Served) -> Raw {
    let connections = || served.operator.sample("narrowcast_connections") as usize;
    let before = connections();
    let raw = Raw::connect(&served.url).await;
    eventually("it is accepted", || connections() == before + 1).await;
    raw
}

/// Says the beginning of a `hello`. It was read when this returns, since the ping before it is
/// answered in the same turn.
async fn begin_hello(raw: &mut Raw) {
    let whole = hello(&token("bob"));
    raw.send(&[&frame(FIN | PING, b""), &whole[..20]].concat()).await;
    assert_eq!(raw.receive().await.0, PONG);
}

#[tokio::test]
async fn the_oldest_silent_connections_make_room() {
    const PLACES: usize = 8;
    const NEWCOMERS: usize = 5;
    let places = PLACES.to_string();
    for workers in WORKERS {
        let keys = [
            ("workers", workers),
            ("listen.handshakes", &*places),
            ("timeouts.header_timeout_ms", "60000"),
            ("timeouts.hello_timeout_ms", "60000"),
        ];
        let (_store, served) = serve_with(&keys).await;
        let mut held = Vec::new();
        for _ in 0..PLACES {
            held.push(silent(&served).await);
        }
        let mut newcomers = Vec::new();
        for _ in 0..NEWCOMERS {
            newcomers.push(Raw::upgraded(&served.url).await);
        }
        for raw in &mut held[..NEWCOMERS] {
            assert_eq!(raw.drain().await, b"", "it was silent for longest");
        }
        for raw in &mut held[NEWCOMERS..] {
            assert_eq!(raw.http(UPGRADE).await.status, 101, "it was not needed");
        }
        for raw in &mut newcomers {
            raw.send(&hello(&token("alice"))).await;
            assert_eq!(raw.receive_json().await["op"], "ready");
        }
        assert_eq!(dropped(&served.operator, "silent"), NEWCOMERS as u64);
        for reason in ["unfinished", "full", "ending"] {
            assert_eq!(dropped(&served.operator, reason), 0, "{reason}");
        }
    }
}

#[tokio::test]
async fn strangers_make_room_after_their_upgrade_and_sessions_do_not() {
    let keys = [("listen.handshakes", "2"), ("timeouts.hello_timeout_ms", "60000")];
    let (_store, served) = serve_with(&keys).await;
    let node = &served.url;
    let mut session = Raw::greeted(node, &token("alice")).await;
    let mut first = Raw::upgraded(node).await;
    let mut second = Raw::upgraded(node).await;
    begin_hello(&mut second).await;
    let mut third = Raw::upgraded(node).await;
    assert_eq!(first.receive_close().await, (OVERLOADED.0, OVERLOADED.1.to_owned()));
    let mut fourth = Raw::upgraded(node).await;
    assert_eq!(third.receive_close().await.0, OVERLOADED.0, "it has said nothing");
    begin_hello(&mut fourth).await;
    let _fifth = Raw::upgraded(node).await;
    assert_eq!(second.receive_close().await.0, OVERLOADED.0, "its hello is unfinished for longest");
    session.send(&text(r#"{"op":"ping"}"#)).await;
    assert_eq!(session.receive_json().await["op"], "pong");
    assert_eq!(dropped(&served.operator, "silent"), 2);
    assert_eq!(dropped(&served.operator, "unfinished"), 1);
    assert_eq!(closes(&served.operator, OVERLOADED.0), 3);
}

#[tokio::test]
async fn a_session_gives_its_place_among_strangers_back() {
    for workers in WORKERS {
        let keys = [("workers", workers), ("listen.handshakes", "1")];
        let (_store, served) = serve_with(&keys).await;
        let mut sessions = Vec::new();
        for user in ["alice", "bob", "carol", "dave"] {
            sessions.push(Raw::greeted(&served.url, &token(user)).await);
        }
        for session in &mut sessions {
            session.send(&text(r#"{"op":"ping"}"#)).await;
            session.receive_op("pong").await;
        }
        assert_eq!(dropped(&served.operator, "silent"), 0);
    }
}

#[tokio::test]
async fn a_bearer_that_is_too_long_is_refused_at_the_upgrade() {
    let demo = node_with("1", &[]);
    let upgrade = |bytes: usize| {
        let bearer = format!("host: a\r\nauthorization: Bearer {}\r\n", "x".repeat(bytes));
        UPGRADE.replace("host: a\r\n", &bearer)
    };
    assert_eq!(ask(url(&demo), &upgrade(TOKEN_BYTES)).await.status, 101, "hello judges it");
    let answer = ask(url(&demo), &upgrade(TOKEN_BYTES + 1)).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    let (code, detail) = problem(&answer);
    assert_eq!(code, "unauthorized");
    assert!(detail.contains("8193 bytes, at most 8192 are allowed"), "{detail}");
}

#[tokio::test]
async fn the_first_frame_is_as_large_as_a_hello() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut stranger = Raw::upgraded(node).await;
        stranger.send(&frame(FIN | TEXT, &[b' '; HELLO_BYTES + 1])[..10]).await;
        let (code, reason) = stranger.receive_close().await;
        assert_eq!(code, 1009);
        assert!(reason.contains("frame of 12289 bytes, at most 12288"), "{reason}");

        let padded = |message: serde_json::Value, bytes| {
            let message = message.to_string();
            text(&format!("{message}{}", " ".repeat(bytes - message.len())))
        };
        let greeting = padded(json!({"op": "hello", "token": token("alice")}), HELLO_BYTES);
        let ping = padded(json!({"op": "ping"}), 16_384);
        let mut session = Raw::upgraded(node).await;
        session.send(&[greeting, ping].concat()).await;
        assert_eq!(session.receive_json().await["op"], "ready");
        session.receive_op("pong").await;
    }
}

/// A probe has no token either, and always finds a place.
#[tokio::test]
async fn health_is_told_whoever_is_silent() {
    let keys = [("listen.handshakes", "2"), ("timeouts.header_timeout_ms", "60000")];
    let (_store, served) = serve_with(&keys).await;
    let _held = [silent(&served).await, silent(&served).await];
    for _ in 0..5 {
        assert_eq!(ask(&served.url, &request("GET", "/healthz", &[], "")).await.status, 200);
    }
}
