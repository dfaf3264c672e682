//! Breaches of RFC 6455 after a good upgrade: each ends its own connection, with its code.

use narrowcast::client::Client;
use serde_json::json;

use super::raw::{
    BINARY, CLOSE, CONTINUATION, FIN, LENGTH_IN_2, LENGTH_IN_8, MASKED, PING, PONG, Raw, TEXT,
    frame, hello, text,
};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// Bytes, the code that they are closed with, and a part of the reason.
type Breach = (Vec<u8>, u16, &'static str);

const RSV1: u8 = 0x40;

/// What is read of a frame: twice the default of `limits.frame_bytes`.
const FRAME_BYTES: usize = 32_768;

/// The start of a frame of 64-bit length, without a mask or body.
fn claims(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, MASKED | LENGTH_IN_8];
    bytes.extend(length.to_be_bytes());
    bytes
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

fn close_with(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn fragments(first: &[u8], last: &[u8]) -> Vec<u8> {
    [frame(TEXT, first), frame(FIN | CONTINUATION, last)].concat()
}

/// Runs each breach on a connection of its own: as its first bytes, and within a session. What
/// the others do must not suffer.
async fn all_end_their_connection(breaches: Vec<Breach>) {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut witness = Client::login(node, &token("wendy")).await.unwrap();
        for (bytes, code, part) in &breaches {
            let fresh = Raw::upgraded(node).await;
            ends(fresh, bytes, (*code, part)).await;
            let greeted = Raw::greeted(node, &token("alice")).await;
            ends(greeted, bytes, (*code, part)).await;
        }
        let send = json!({"op": "send", "conversation": "user.will", "body": 1});
        assert_eq!(witness.ask(send).await.unwrap()["op"], "sent");
    }
}

async fn ends(mut raw: Raw, bytes: &[u8], (code, part): (u16, &str)) {
    raw.send(bytes).await;
    let (found, reason) = raw.receive_close().await;
    let shown = &bytes[..bytes.len().min(16)];
    assert_eq!(found, code, "{part}: {reason} for {shown:02x?}");
    assert!(reason.contains(part), "{part}: {reason}");
}

#[tokio::test]
async fn frames_without_a_mask_are_refused() {
    let part = "must be masked";
    all_end_their_connection(vec![
        (unmasked(FIN | TEXT, br#"{"op":"ping"}"#), 1002, part),
        (unmasked(FIN | PING, b""), 1002, part),
        (unmasked(FIN | CLOSE, &[3, 232]), 1002, part),
    ])
    .await;
}

#[tokio::test]
async fn control_frames_are_short_and_whole() {
    let long = [0; 126];
    all_end_their_connection(vec![
        (frame(FIN | PING, &long), 1002, "at most 125"),
        (frame(FIN | PONG, &long), 1002, "at most 125"),
        (close_with(1000, &long), 1002, "at most 125"),
        (claims(FIN | PING, 1 << 20), 1002, "at most 125"),
        (frame(PING, b""), 1002, "fragmented"),
        (frame(PONG, b""), 1002, "fragmented"),
        (frame(CLOSE, &[3, 232]), 1002, "fragmented"),
    ])
    .await;
}

#[tokio::test]
async fn data_frames_follow_each_other() {
    let began = frame(TEXT, b"{");
    all_end_their_connection(vec![
        ([began.clone(), text("{}")].concat(), 1002, "inside another"),
        ([began.clone(), frame(TEXT, b"}")].concat(), 1002, "inside another"),
        ([began, frame(FIN | BINARY, b"")].concat(), 1002, "inside another"),
        (frame(FIN | CONTINUATION, b"}"), 1002, "without a message"),
        (frame(CONTINUATION, b""), 1002, "without a message"),
    ])
    .await;
}

#[tokio::test]
async fn text_is_utf8() {
    let part = "not UTF-8";
    all_end_their_connection(vec![
        (frame(FIN | TEXT, b"\xff"), 1007, part),
        (frame(FIN | TEXT, b"\"\xc3\""), 1007, part),
        (frame(FIN | TEXT, b"\xed\xa0\x80"), 1007, part),
        (frame(FIN | TEXT, b"\xc0\xaf"), 1007, part),
        (frame(FIN | TEXT, b"\xf4\x90\x80\x80"), 1007, part),
        (fragments(b"\xe2\x98", b"x"), 1007, part),
        (fragments(b"ok", b"\xe2\x98"), 1007, part),
        (frame(TEXT, b"at once \xff"), 1007, part),
    ])
    .await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes_are_refused() {
    let bits =
        [RSV1, 0x20, 0x10, 0x70].map(|bit| (frame(FIN | bit | TEXT, b"{}"), 1002, "reserved"));
    let opcodes = (0x3..=0x7).chain(0xb..=0xf);
    let opcodes = opcodes.map(|opcode| (frame(FIN | opcode, b""), 1002, "is not defined"));
    all_end_their_connection(bits.into_iter().chain(opcodes).collect()).await;
}

#[tokio::test]
async fn close_frames_must_be_well_formed() {
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    let codes = codes.map(|code| (close_with(code, b""), 1002, "must not be sent"));
    let payloads = [
        (frame(FIN | CLOSE, &[3]), 1002, "1 byte"),
        (close_with(1000, b"\xff"), 1007, "reason is not UTF-8"),
    ];
    all_end_their_connection(codes.into_iter().chain(payloads).collect()).await;
}

#[tokio::test]
async fn lengths_are_bounded_and_honest() {
    let over = FRAME_BYTES + 1;
    let half = vec![b'x'; FRAME_BYTES / 2 + 1];
    let two_halves = [frame(TEXT, &half), frame(FIN | CONTINUATION, &half)].concat();
    let short_in_two = [&[FIN | TEXT, MASKED | LENGTH_IN_2, 0, 125][..], &[0; 4]].concat();
    all_end_their_connection(vec![
        (frame(FIN | TEXT, &vec![b'x'; over]), 1009, "frame of 32769 bytes, at most "),
        (frame(FIN | TEXT, &vec![b'x'; 60_000]), 1009, "frame of 60000 bytes"),
        (two_halves, 1009, " bytes, at most "),
        (claims(FIN | TEXT, 1 << 40), 1009, "frame of 1099511627776 bytes"),
        (claims(FIN | BINARY, u64::MAX >> 1), 1009, "frame of 9223372036854775807 bytes"),
        (claims(FIN | TEXT, 1 << 63), 1002, "top bit"),
        (claims(FIN | TEXT, 65_535), 1002, "fewest bytes"),
        (short_in_two, 1002, "fewest bytes"),
    ])
    .await;
}

/// The default of `limits.fragments` is 16.
#[tokio::test]
async fn fragments_without_end_are_cut_off() {
    let part = "message of 17 fragments, at most 16";
    let endless = |payload: &[u8]| {
        let first = frame(TEXT, payload);
        [first, frame(CONTINUATION, payload).repeat(16)].concat()
    };
    let pinged = [frame(CONTINUATION, b""), frame(FIN | PING, b"")].concat();
    let with_pings = [frame(TEXT, b""), pinged.repeat(15), frame(CONTINUATION, b"")].concat();
    all_end_their_connection(vec![(endless(b""), 1009, part), (endless(b"x"), 1009, part)]).await;
    // The answers to the pings come first; the frames behind the bound are not waited for.
    let demo = node_with("1", &[]);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    raw.send(&with_pings).await;
    let (code, reason) = raw.receive_close().await;
    assert_eq!((code, reason.contains(part)), (1009, true), "{reason}");
}

/// A frame that is announced and never comes holds nobody else up.
#[tokio::test]
async fn a_frame_that_never_ends_blocks_nobody() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut stuck = Raw::greeted(url(&demo), &token("alice")).await;
        let whole = frame(FIN | TEXT, &vec![b'x'; FRAME_BYTES]);
        stuck.send(&whole[..whole.len() - 1]).await;
        let mut other = Client::login(url(&demo), &token("alice")).await.unwrap();
        assert_eq!(other.ask(json!({"op": "ping"})).await.unwrap()["op"], "pong");
        stuck.send(&whole[whole.len() - 1..]).await;
        assert_eq!(stuck.receive_json().await["code"], "too_large", "it was a whole frame");
    }
}

async fn answers(node: &str, packets: &[&[u8]]) {
    let mut raw = Raw::greeted(node, &token("alice")).await;
    for packet in packets {
        raw.send(packet).await;
    }
    let pong = raw.receive_json().await;
    assert_eq!((&pong["op"], &pong["id"]), (&json!("pong"), &json!("☃")));
}

#[tokio::test]
async fn what_the_rfc_allows_is_understood() {
    let ping = r#"{"op":"ping","id":"☃"}"#.as_bytes();
    let snowman = ping.iter().position(|byte| *byte > 127).unwrap() + 1;
    let (first, last) = ping.split_at(snowman);
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let whole = frame(FIN | TEXT, ping);
        answers(node, &whole.chunks(1).collect::<Vec<_>>()).await;
        answers(node, &[&fragments(first, last)]).await;
        let around = [frame(TEXT, first), frame(FIN | PONG, b"q"), frame(CONTINUATION, b"")];
        answers(node, &[&around.concat(), &frame(FIN | CONTINUATION, last)]).await;
        answers(node, &[&frame(FIN | PONG, b"nobody asked"), &whole]).await;
    }
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let demo = node_with("3", &[]);
    let mut raw = Raw::upgraded(url(&demo)).await;
    for payload in [&b""[..], &[0xff; 125]] {
        raw.send(&frame(FIN | PING, payload)).await;
        assert_eq!(raw.receive().await, (PONG, payload.to_vec()), "before hello");
    }
    raw.send(&hello(&token("alice"))).await;
    raw.receive_op("cursor").await;
    raw.send(&frame(FIN | PING, b"mark")).await;
    assert_eq!(raw.receive().await, (PONG, b"mark".to_vec()));
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_code() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        for code in [1000, 1001, 3000, 4999] {
            let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
            raw.send(&close_with(code, b"bye")).await;
            assert_eq!(raw.receive_close().await, (code, String::new()));
        }
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        raw.send(&frame(FIN | CLOSE, b"")).await;
        assert_eq!(raw.receive_close().await, (1005, String::new()), "empty for empty");
    }
}

/// What was asked before the goodbye is answered before it.
#[tokio::test]
async fn frames_before_a_close_are_answered_and_those_behind_are_not() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let ping = text(r#"{"op":"ping","id":1}"#);
    raw.send(&[ping.clone(), close_with(1000, b""), ping].concat()).await;
    assert_eq!(raw.receive_json().await["id"], 1);
    assert_eq!(raw.receive_close().await, (1000, String::new()));
}
