//! What happens when a client lets its time pass.

use narrowcast::auth::Claims;
use narrowcast::client::Client;
use serde_json::json;

use super::raw::{FIN, PING, PONG, Raw, frame, hello, renew, text};
use super::tokens::{claims, now, sign, token};
use super::{WORKERS, closes, node_with, url};

/// Seconds that a short token has left: above the second that its times are rounded to.
const SHORT_LIFE: u64 = 3;

/// Pings that are answered before a client counts as one that lives: more silence than allowed.
const PINGS: usize = 8;

/// Clocks do not differ here, so that a token ends when it says.
const NO_LEEWAY: (&str, &str) = ("AUTH__LEEWAY_S", "0");

fn ending_at(user: &str, exp: u64) -> String {
    sign(&Claims { exp, ..claims(user) })
}

#[tokio::test]
async fn who_does_not_say_hello_is_closed() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("TIMEOUTS__HELLO_TIMEOUT_MS", "100")]);
        let mut session = Client::login(url(&demo), &token("alice")).await.unwrap();
        let mut silent = Raw::upgraded(url(&demo)).await;
        let mut pinging = Raw::upgraded(url(&demo)).await;
        pinging.send(&frame(FIN | PING, b"")).await;
        let mut halfway = Raw::upgraded(url(&demo)).await;
        halfway.send(&hello(&token("bob"))[..20]).await;
        for raw in [&mut silent, &mut pinging, &mut halfway] {
            assert_eq!(raw.receive_close().await, (4103, "hello timeout".to_owned()));
        }
        assert_eq!(session.ask(json!({"op": "ping"})).await.unwrap()["op"], "pong");
        assert_eq!(closes(&demo.nodes[0].operator, 4103), 3);
    }
}

#[tokio::test]
async fn who_answers_no_ping_is_closed() {
    for workers in WORKERS {
        let keys = [("TIMEOUTS__PING_MS", "100"), ("TIMEOUTS__PONG_TIMEOUT_MS", "100")];
        let demo = node_with(workers, &keys);
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        assert_eq!(raw.receive().await, (PING, vec![]), "it is asked first");
        assert_eq!(raw.receive_close().await, (4201, "pong missing".to_owned()));
    }
}

/// Whatever comes from a client is a sign of life.
#[tokio::test]
async fn who_is_heard_stays() {
    for workers in WORKERS {
        let keys = [("TIMEOUTS__PING_MS", "250"), ("TIMEOUTS__PONG_TIMEOUT_MS", "5000")];
        let demo = node_with(workers, &keys);
        let mut ponging = Raw::greeted(url(&demo), &token("alice")).await;
        for _ in 0..PINGS {
            assert_eq!(ponging.receive().await, (PING, vec![]));
            ponging.send(&frame(FIN | PONG, b"")).await;
        }
        ponging.send(&text(r#"{"op":"ping","id":1}"#)).await;
        assert_eq!(ponging.receive_json().await["id"], 1);
        assert_eq!(closes(&demo.nodes[0].operator, 4201), 0);
    }
}

#[tokio::test]
async fn a_token_that_ends_is_announced_then_closes_the_session() {
    for workers in WORKERS {
        let demo = node_with(workers, &[NO_LEEWAY]);
        let exp = now() + SHORT_LIFE;
        let mut raw = Raw::upgraded(url(&demo)).await;
        raw.send(&hello(&ending_at("alice", exp))).await;
        assert_eq!(raw.receive_op("token_expiring").await["expires_at"], exp * 1000);
        assert_eq!(raw.receive_close().await, (4002, "token expired".to_owned()));
        assert!(now() >= exp, "not before its time");
    }
}

/// Two sessions of one user, hence on one worker: that the one was closed shows that the time of
/// the other's first token has passed too.
#[tokio::test]
async fn a_fresh_token_in_time_keeps_the_session() {
    for workers in WORKERS {
        let demo = node_with(workers, &[NO_LEEWAY]);
        let short = ending_at("alice", now() + SHORT_LIFE);
        let mut renewed = Raw::greeted(url(&demo), &short).await;
        let mut ended = Raw::greeted(url(&demo), &short).await;
        renewed.receive_op("token_expiring").await;
        renewed.send(&renew(&token("alice"))).await;
        assert_eq!(renewed.receive_json().await["op"], "renewed");
        ended.receive_op("token_expiring").await;
        assert_eq!(ended.receive_close().await.0, 4002);
        renewed.send(&text(r#"{"op":"ping","id":1}"#)).await;
        assert_eq!(renewed.receive_json().await["id"], 1, "and nothing else was said");
    }
}

#[tokio::test]
async fn a_fresh_token_that_ends_soon_is_announced_again() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::upgraded(url(&demo)).await;
    let (first, second) = (now() + 30, now() + 40);
    raw.send(&hello(&ending_at("alice", first))).await;
    assert_eq!(raw.receive_op("token_expiring").await["expires_at"], first * 1000);
    raw.send(&renew(&ending_at("alice", second))).await;
    assert_eq!(raw.receive_op("token_expiring").await["expires_at"], second * 1000);
}

/// The leeway is for clocks that differ: a token in it is still good for a session.
#[tokio::test]
async fn a_token_within_the_leeway_is_not_closed_at_once() {
    let demo = node_with("1", &[("TIMEOUTS__PING_MS", "100")]);
    let just_ended = sign(&Claims { iat: now() - 60, exp: now() - 1, ..claims("alice") });
    let mut raw = Raw::greeted(url(&demo), &just_ended).await;
    // A ping comes from the same look at the session that would close it.
    loop {
        match raw.receive().await {
            (PING, _) => break,
            (opcode, payload) => {
                let expiring = String::from_utf8_lossy(&payload).contains("expiring");
                assert!(expiring, "{opcode:#x}: {}", String::from_utf8_lossy(&payload));
            }
        }
    }
}
