//! What a connection that sends too much is told, and an address that has too many of them.

use std::time::Duration;

use narrowcast::client::Client;
use serde_json::json;

use super::raw::{CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT, UPGRADE, frame, text};
use super::tokens::token;
use super::{WORKERS, closes, node_with, url};
use crate::harness::eventually;

/// A burst of five frames, and one each 500 ms.
const FEW: [(&str, &str); 2] = [("RATES__FRAME_BURST", "5"), ("RATES__FRAMES_PER_S", "2")];

#[tokio::test]
async fn a_frame_too_many_is_refused_until_the_time_it_was_told() {
    for workers in WORKERS {
        let demo = node_with(workers, &FEW);
        let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
        let ping = json!({"op": "ping"});
        let mut answer = alice.ask(ping.clone()).await.unwrap();
        for _ in 0..5 {
            answer = alice.ask(ping.clone()).await.unwrap();
        }
        assert_eq!(answer["code"], "rate_limited", "{answer}");
        assert_eq!(answer["retry"], "later");
        let told = answer["detail"].as_str().unwrap();
        assert!(told.starts_with("frames of a connection: 2 a second and 5 at once"), "{told}");
        let wait = answer["retry_after_ms"].as_u64().unwrap();
        assert!((1..=750).contains(&wait), "{wait} for one and a half frames");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(alice.ask(ping).await.unwrap()["op"], "pong", "who waits is taken");
    }
}

#[tokio::test]
async fn bytes_are_counted_as_well() {
    let keys = [("RATES__BYTE_BURST", "16384"), ("RATES__BYTES_PER_S", "1024")];
    let demo = node_with("1", &keys);
    let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
    let large = json!({"op": "ping", "padding": "x".repeat(9000)});
    assert_ne!(alice.ask(large.clone()).await.unwrap()["code"], "rate_limited");
    let answer = alice.ask(large).await.unwrap();
    assert_eq!(answer["code"], "rate_limited");
    assert!(answer["detail"].as_str().unwrap().starts_with("bytes of a connection"), "{answer}");
}

#[tokio::test]
async fn who_does_not_slow_down_is_closed() {
    for workers in WORKERS {
        let demo = node_with(workers, &FEW);
        let mut flood = Raw::greeted(url(&demo), &token("alice")).await;
        flood.send(&text(r#"{"op":"ping"}"#).repeat(40)).await;
        let (mut taken, mut refused) = (0, 0);
        let last = loop {
            let (opcode, payload) = flood.receive().await;
            let answer = String::from_utf8_lossy(&payload);
            match opcode {
                CLOSE => break payload,
                _ if answer.contains("pong") => taken += 1,
                _ if answer.contains("rate_limited") => refused += 1,
                _ => panic!("{answer}"),
            }
        };
        assert_eq!(
            (u16::from_be_bytes([last[0], last[1]]), &last[2..]),
            (4101, &b"rate abuse"[..])
        );
        assert!(taken >= 5 && refused >= 10 && taken + refused < 40, "{taken} {refused}");
        assert_eq!(closes(&demo.nodes[0].operator, 4101), 1);
    }
}

/// Sends these frames at once, after a `hello` or without: the close frame's payload, and how many pongs came.
async fn flooded(node: &str, greeted: bool, frames: &[u8]) -> (Vec<u8>, usize) {
    let mut flood =
        if greeted { Raw::greeted(node, &token("alice")).await } else { Raw::upgraded(node).await };
    flood.send(frames).await;
    let mut pongs = 0;
    loop {
        match flood.receive().await {
            (CLOSE, payload) => return (payload, pongs),
            (PONG, _) => pongs += 1,
            (opcode, payload) => panic!("opcode {opcode:#x} with {payload:?}"),
        }
    }
}

/// A message of 40 frames.
fn fragmented() -> Vec<u8> {
    let middle = frame(CONTINUATION, b" ").repeat(38);
    let ends = [frame(TEXT, br#"{"op":"#), frame(FIN | CONTINUATION, br#""ping"}"#)];
    [&ends[0][..], &middle, &ends[1]].concat()
}

#[tokio::test]
async fn pings_pongs_and_fragments_are_frames_as_well() {
    let abuse = [&4101_u16.to_be_bytes()[..], b"rate abuse"].concat();
    for workers in WORKERS {
        let demo = node_with(workers, &[FEW[0], FEW[1], ("LIMITS__FRAGMENTS", "64")]);
        let [asking, unasked] = [PING, PONG].map(|opcode| frame(FIN | opcode, b"x").repeat(40));
        for greeted in [true, false] {
            let (close, answered) = flooded(url(&demo), greeted, &asking).await;
            assert_eq!(close, abuse);
            assert!((1..40).contains(&answered), "{answered} pings were answered");
            assert_eq!(flooded(url(&demo), greeted, &unasked).await, (abuse.clone(), 0));
        }
        let close = flooded(url(&demo), true, &fragmented()).await;
        assert_eq!(close, (abuse.clone(), 0), "one message, of too many frames");
        assert_eq!(closes(&demo.nodes[0].operator, 4101), 5);
    }
}

/// A thousand pings are few frames by default; what they carry is too much here.
#[tokio::test]
async fn bytes_of_pings_are_counted_as_well() {
    let keys = [("RATES__BYTE_BURST", "16384"), ("RATES__BYTES_PER_S", "1024")];
    let demo = node_with("1", &keys);
    let long = frame(FIN | PING, &[b'x'; 125]).repeat(1000);
    let (close, _) = flooded(url(&demo), true, &long).await;
    assert_eq!(close[..2], 4101_u16.to_be_bytes());
}

#[tokio::test]
async fn who_pings_within_the_rate_stays_and_may_ask() {
    let demo = node_with("1", &[("RATES__FRAME_BURST", "5"), ("RATES__FRAMES_PER_S", "20")]);
    let mut calm = Raw::greeted(url(&demo), &token("alice")).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0..20_u8 {
        ticks.tick().await;
        calm.send(&frame(FIN | PING, &[number])).await;
        assert_eq!(calm.receive().await, (PONG, vec![number]));
    }
    calm.send(&text(r#"{"op":"ping"}"#)).await;
    assert_eq!(calm.receive_json().await["op"], "pong");
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("RATES__CONNECTIONS_PER_ADDRESS", "2")]);
        let first = Raw::greeted(url(&demo), &token("alice")).await;
        let _second = Raw::upgraded(url(&demo)).await;
        let mut third = Raw::connect(url(&demo)).await;
        let answer = third.http(UPGRADE).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("10"));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.body.contains("rates.connections_per_address"), "{answer:?}");
        drop((first, third));
        let operator = &demo.nodes[0].operator;
        let one = "narrowcast_connections 1\n";
        eventually("they are gone", || operator.get("/metrics").1.contains(one)).await;
        let mut fourth = Raw::connect(url(&demo)).await;
        assert_eq!(fourth.http(UPGRADE).await.status, 101, "a place came back");
    }
}
