//! Behind a load balancer a connection counts for the address that a PROXY header or
//! `x-forwarded-for` names. Only a balancer may name one. Here the test is the balancer: all
//! connections come from 127.0.0.1.

use super::http::{bearing, request};
use super::raw::{Answer, FIN, PING, PONG, Raw, UPGRADE, frame, hello, text};
use super::tokens::token;
use super::{WORKERS, serve_with};
use crate::harness::{Served, eventually};

const LOOPBACK: &str = "[\"127.0.0.0/8\"]";

/// Networks of others.
const ELSEWHERE: &str = "[\"10.0.0.0/8\", \"::1/128\"]";

/// A node with one connection for each address.
async fn node(trusted: &str, proxy_protocol: &str, workers: &str) -> (tempfile::TempDir, Served) {
    let keys = [
        ("workers", workers),
        ("listen.trusted", trusted),
        ("listen.proxy_protocol", proxy_protocol),
        ("rates.connections_per_address", "1"),
    ];
    serve_with(&keys).await
}

fn line(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { 6 } else { 4 };
    let node = if family == 6 { "::1" } else { "127.0.0.1" };
    format!("PROXY TCP{family} {client} {node} 40000 8080\r\n").into_bytes()
}

/// A header of version 2 with these bytes of command and family.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
}

/// A header of version 2 for a client, with a value of an unknown type.
fn binary_of(client: [u8; 4]) -> Vec<u8> {
    let rest = [&client[..], &[127, 0, 0, 1, 0x9c, 0x40, 0x1f, 0x90], &[0xee, 0, 2, 7, 7]].concat();
    binary(0x21, 0x11, &rest)
}

/// What a connection that begins with these bytes is answered to a request.
async fn answer_behind(served: &Served, header: &[u8], request: &str) -> (Raw, Answer) {
    let mut raw = Raw::connect(&served.url).await;
    raw.send(header).await;
    let answer = raw.http(request).await;
    (raw, answer)
}

async fn upgrade_behind(served: &Served, header: &[u8]) -> (Raw, Answer) {
    answer_behind(served, header, UPGRADE).await
}

fn upgrade_for(list: &str) -> String {
    UPGRADE.replace("host: a\r\n", &format!("host: a\r\nx-forwarded-for: {list}\r\n"))
}

/// A connection whose upgrade says for whom it is.
async fn upgrade_forwarded(served: &Served, list: &str) -> (Raw, Answer) {
    answer_behind(served, b"", &upgrade_for(list)).await
}

#[tokio::test]
async fn a_connection_counts_for_the_client_of_its_proxy_header() {
    for workers in WORKERS {
        let (_store, served) = node(LOOPBACK, "true", workers).await;
        let (mut first, answer) = upgrade_behind(&served, &line("192.0.2.1")).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        first.send(&hello(&token("alice"))).await;
        assert_eq!(first.receive_json().await["op"], "ready");
        for header in [line("192.0.2.1"), binary_of([192, 0, 2, 1]), line("::ffff:192.0.2.1")] {
            let (_second, answer) = upgrade_behind(&served, &header).await;
            assert_eq!(answer.status, 429, "{header:?}: {answer:?}");
        }
        let mut others = Vec::new();
        for header in [binary_of([192, 0, 2, 2]), line("2001:db8::1"), line("192.0.2.3")] {
            let (raw, answer) = upgrade_behind(&served, &header).await;
            assert_eq!(answer.status, 101, "{header:?}: {answer:?}");
            others.push(raw);
        }
        let (_same_network, answer) = upgrade_behind(&served, &line("2001:db8::2")).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        first.send(&text(r#"{"op":"ping"}"#)).await;
        first.receive_op("pong").await;
        assert_eq!(served.operator.metric("narrowcast_addresses_refused_total"), 4);
    }
}

/// Whether it comes in one packet with the request, byte for byte, or with what follows the upgrade.
#[tokio::test]
async fn a_proxy_header_may_come_in_any_packets() {
    let (_store, served) = node(LOOPBACK, "true", "1").await;
    let begin = [&binary_of([192, 0, 2, 9])[..], UPGRADE.as_bytes()].concat();
    for size in [1, 13, 16, begin.len()] {
        let mut raw = Raw::connect(&served.url).await;
        for packet in begin.chunks(size) {
            raw.send(packet).await;
        }
        raw.send(&hello(&token("alice"))).await;
        assert_eq!(raw.answer().await.status, 101, "{size}");
        assert_eq!(raw.receive_json().await["op"], "ready", "{size}");
        drop(raw);
        let is_gone = || served.operator.sample("narrowcast_connections") as usize == 0;
        eventually("its place is free", is_gone).await;
    }
}

/// A balancer's own health checks: no limit applies to it.
#[tokio::test]
async fn a_balancer_may_speak_for_itself() {
    let (_store, served) = node(LOOPBACK, "true", "1").await;
    let local = [
        binary(0x20, 0x00, b""),
        binary(0x21, 0x00, b""),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ff:: ff:: 1 1\r\n".to_vec(),
    ];
    let mut held = Vec::new();
    for header in local {
        let (raw, answer) = upgrade_behind(&served, &header).await;
        assert_eq!(answer.status, 101, "{header:?}: {answer:?}");
        held.push(raw);
    }
    // What its clients write is not its word.
    let header = b"PROXY UNKNOWN\r\n";
    let (_one, answer) = answer_behind(&served, header, &upgrade_for("192.0.2.1")).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    let (_two, answer) = answer_behind(&served, header, &upgrade_for("192.0.2.1")).await;
    assert_eq!(answer.status, 101, "{answer:?}");
}

#[tokio::test]
async fn a_bad_proxy_header_is_told_and_ends_the_connection() {
    let (_store, mut served) = node(LOOPBACK, "true", "1").await;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes();
    let short_addresses = binary(0x21, 0x21, &[0; 12]);
    let bad_value = binary(0x21, 0x11, &[&[0; 12][..], &[1, 0, 9, 1]].concat());
    let mut oversized = binary(0x21, 0x11, &[0; 12]);
    oversized[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    for (header, part) in [
        (b"".to_vec(), "PROXY header: missing"),
        (b"PROXY TCP4 192.0.2.1 nonsense 1 2\r\n".to_vec(), "version 1: "),
        (long, "longer than the 107 bytes"),
        (short_addresses, "version 2: "),
        (bad_value, "version 2: "),
        (oversized, "longer than the 1024 bytes"),
    ] {
        let (mut raw, answer) = upgrade_behind(&served, &header).await;
        assert_eq!(answer.status, 400, "{header:?}: {answer:?}");
        assert!(answer.body.contains(part), "{header:?}: {answer:?}");
        assert_eq!(raw.drain().await, b"");
    }
    assert_eq!(served.operator.metric("narrowcast_proxy_headers_refused_total"), 6);
    let told = |line: &str| line.contains("connections of balancers were refused").then_some(());
    served.process.error_line(told);
}

#[tokio::test]
async fn a_proxy_header_that_is_cut_short_is_awaited_as_long_as_a_head() {
    let keys = [
        ("listen.trusted", LOOPBACK),
        ("listen.proxy_protocol", "true"),
        ("timeouts.header_timeout_ms", "300"),
    ];
    let (_store, served) = serve_with(&keys).await;
    let whole = line("192.0.2.1");
    for sent in [&whole[..20], &[&whole[..], b"GET / HTTP/1.1\r\n"].concat()] {
        let mut raw = Raw::connect(&served.url).await;
        raw.send(sent).await;
        assert_eq!(raw.drain().await, b"");
    }
}

/// From any other address it is no header, and what it says is not believed.
#[tokio::test]
async fn a_stranger_cannot_send_a_proxy_header() {
    for (trusted, proxy_protocol) in [(ELSEWHERE, "true"), (LOOPBACK, "false"), ("[]", "false")] {
        let (_store, served) = node(trusted, proxy_protocol, "1").await;
        for header in [line("192.0.2.1"), binary_of([192, 0, 2, 1])] {
            let (mut raw, answer) = upgrade_behind(&served, &header).await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(answer.body.contains("listen.proxy_protocol"), "{answer:?}");
            assert_eq!(raw.drain().await, b"");
        }
        let is_gone = || served.operator.sample("narrowcast_connections") as usize == 0;
        eventually("they are gone", is_gone).await;
        let plain = Raw::connect(&served.url).await.http(UPGRADE).await;
        assert_eq!(plain.status, 101, "a connection without a header is served");
    }
}

#[tokio::test]
async fn the_operators_listener_is_plain() {
    let (_store, served) = node(LOOPBACK, "true", "1").await;
    assert_eq!(served.operator.get("/readyz").0, 200);
    let mut raw = Raw::connect(served.operator.address()).await;
    raw.send(&line("192.0.2.1")).await;
    assert_eq!(raw.http(&request("GET", "/readyz", &[], "")).await.status, 400);
}

#[tokio::test]
async fn a_request_counts_for_the_client_that_its_balancer_names() {
    for workers in WORKERS {
        let (_store, served) = node("[\"127.0.0.0/8\", \"10.0.0.0/8\"]", "false", workers).await;
        let (mut first, answer) = upgrade_forwarded(&served, "192.0.2.1").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        first.send(&hello(&token("alice"))).await;
        assert_eq!(first.receive_json().await["op"], "ready");
        let spoofed = format!("{}192.0.2.1", "203.0.113.9, ".repeat(320));
        for list in [
            "192.0.2.1",
            "198.51.100.1, 192.0.2.1",
            "junk, 192.0.2.1, 10.0.0.3",
            "192.0.2.1:50000",
            "[::ffff:192.0.2.1]:1",
            "198.51.100.1\r\nx-forwarded-for: 192.0.2.1",
            &spoofed,
        ] {
            let (_second, answer) = upgrade_forwarded(&served, list).await;
            assert_eq!(answer.status, 429, "{list}: {answer:?}");
        }
        let (_other, answer) = upgrade_forwarded(&served, "192.0.2.1, 192.0.2.2").await;
        assert_eq!(answer.status, 101, "another client has its own: {answer:?}");
        // All of which nothing can be known count as one, and a balancer for itself as none.
        let (_garbage, answer) = upgrade_forwarded(&served, "192.0.2.3, unknown").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        let (_garbage, answer) = upgrade_forwarded(&served, "192.0.2.4, <script>").await;
        assert_eq!(answer.status, 429, "{answer:?}");
        let mut own = Vec::new();
        for _ in 0..3 {
            own.push(Raw::upgraded(&served.url).await);
        }
    }
}

/// A balancer sends requests of many clients on one connection, and keeps it for the next.
#[tokio::test]
async fn a_kept_connection_of_a_balancer_counts_while_it_has_a_request() {
    let (_store, served) = node(LOOPBACK, "false", "1").await;
    let inbox = |client: &str| {
        let forwarded = format!("host: a\r\nx-forwarded-for: {client}\r\n");
        bearing(&token("alice"), "GET", "/v1/users/me/inbox", "").replace("host: a\r\n", &forwarded)
    };
    let mut pool = [Raw::connect(&served.url).await, Raw::connect(&served.url).await];
    for kept in &mut pool {
        assert_eq!(kept.http(&inbox("192.0.2.1")).await.status, 200, "one request at a time");
    }
    let (_session, answer) = upgrade_forwarded(&served, "192.0.2.1").await;
    assert_eq!(answer.status, 101, "idle connections count for no client: {answer:?}");
    let [kept, _other] = &mut pool;
    assert_eq!(kept.http(&inbox("192.0.2.2")).await.status, 200);
    assert_eq!(kept.http(&inbox("192.0.2.1")).await.status, 429);
    assert_eq!(kept.drain().await, b"", "a connection without a place ends");
}

#[tokio::test]
async fn a_stranger_is_not_believed_about_its_address() {
    for trusted in ["[]", ELSEWHERE] {
        let (_store, served) = node(trusted, "false", "1").await;
        let (_held, answer) = upgrade_forwarded(&served, "192.0.2.1").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        let (_second, answer) = upgrade_forwarded(&served, "192.0.2.2").await;
        assert_eq!(answer.status, 429, "{answer:?}");
    }
}

/// Silent clients make room first, although their balancer has sent a header for them.
#[tokio::test]
async fn a_header_of_a_balancer_is_no_word_of_its_client() {
    let keys = [
        ("listen.trusted", LOOPBACK),
        ("listen.proxy_protocol", "true"),
        ("listen.handshakes", "2"),
        ("timeouts.header_timeout_ms", "60000"),
        ("timeouts.hello_timeout_ms", "60000"),
    ];
    let (_store, served) = serve_with(&keys).await;
    let (mut slow, answer) = upgrade_behind(&served, &line("192.0.2.1")).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    let greeting = hello(&token("alice"));
    slow.send(&[&frame(FIN | PING, b""), &greeting[..20]].concat()).await;
    assert_eq!(slow.receive().await.0, PONG, "the begin of its hello was read");
    let mut silent = Raw::connect(&served.url).await;
    silent.send(&line("192.0.2.2")).await;
    let count = || served.operator.sample("narrowcast_connections") as usize;
    eventually("it is accepted", || count() == 2).await;
    let (_newcomer, answer) = upgrade_behind(&served, &line("192.0.2.3")).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(silent.drain().await, b"");
    slow.send(&greeting[20..]).await;
    assert_eq!(slow.receive_json().await["op"], "ready");
}

/// A quarter of the places of connections without a token is for one client, behind a balancer too.
#[tokio::test]
async fn a_greedy_client_behind_a_balancer_pays_for_itself() {
    let keys = [
        ("listen.trusted", LOOPBACK),
        ("listen.proxy_protocol", "true"),
        ("listen.handshakes", "4"),
        ("timeouts.hello_timeout_ms", "60000"),
    ];
    let (_store, served) = serve_with(&keys).await;
    let (mut patient, answer) = upgrade_behind(&served, &line("192.0.2.1")).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    let mut greedy = Vec::new();
    for _ in 0..8 {
        let (raw, answer) = upgrade_behind(&served, &line("192.0.2.2")).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        greedy.push(raw);
    }
    patient.send(&hello(&token("alice"))).await;
    assert_eq!(patient.receive_json().await["op"], "ready", "it was not ended");
    assert_eq!(greedy[0].receive_close().await.0, 4100);
}
