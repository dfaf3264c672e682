//! Connections of the HTTP API: kept, pipelined, old, idle, stuck, and how many there may be.

use std::time::Instant;

use super::http::{ask, bearing, problem, refused, request, service};
use super::raw::{Raw, UPGRADE, hello, text};
use super::tokens::token;
use super::{WORKERS, node_with, serve_with, url};
use crate::harness::PATIENCE;

const DESCRIPTION: &str = "/v1/openapi.json";

fn description() -> String {
    bearing(&token("alice"), "GET", DESCRIPTION, "")
}

fn publish(n: usize) -> String {
    let body = format!(r#"{{"events":[{{"subject":"topic.a","data":{n}}}]}}"#);
    bearing(&token("alice"), "POST", "/v1/publish", &body)
}

#[tokio::test]
async fn a_connection_is_kept() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::connect(url(&demo)).await;
        for n in 0..20 {
            assert_eq!(raw.http(&publish(n)).await.status, 202);
            assert_eq!(raw.http(&bearing("x", "GET", DESCRIPTION, "")).await.status, 401);
        }
        assert_eq!(raw.http(UPGRADE).await.status, 101, "even up to the upgrade");
        raw.send(&hello(&token("alice"))).await;
        assert_eq!(raw.receive_json().await["op"], "ready");
    }
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_their_order() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::connect(url(&demo)).await;
        let unknown = bearing(&token("alice"), "GET", "/v1/x", "");
        let packet = [publish(1), unknown, description(), publish(2)].concat();
        raw.send(packet.as_bytes()).await;
        for status in [202, 404, 200, 202] {
            assert_eq!(raw.answer().await.status, status);
        }
    }
}

#[tokio::test]
async fn old_clients_are_served() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::connect(url(&demo)).await;
    raw.send(publish(1).replace("HTTP/1.1", "HTTP/1.0").as_bytes()).await;
    let answer = String::from_utf8(raw.drain().await).expect("a text");
    assert!(
        answer.starts_with("HTTP/1.0 202") && answer.ends_with(r#"{"published":1}"#),
        "{answer}"
    );
    let chunked = publish(1)
        .replace("HTTP/1.1", "HTTP/1.0")
        .replace("host: a", "host: a\r\ntransfer-encoding: chunked");
    assert_eq!(ask(url(&demo), &chunked).await.status, 400, "they do not know chunks");
    for bad in [
        "GET /v1/openapi.json HTTP/2.0\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ] {
        assert_eq!(ask(url(&demo), bad).await.status, 400, "{bad:?}");
    }
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_refused_on_the_way() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::connect(url(&demo)).await;
    let endless = format!("POST /v1/publish HTTP/1.1\r\nfiller: {}", "x".repeat(1 << 20));
    // It may be cut off before all of it is sent.
    let _sent = raw.try_send(endless.as_bytes()).await;
    let answer = String::from_utf8(raw.drain().await).expect("a text");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /v1/rooms/{} HTTP/1.1\r\nhost: a\r\n\r\n", "r".repeat(20_000));
    assert!([414, 431].contains(&ask(url(&demo), &long).await.status));
    assert_eq!(ask(url(&demo), &description()).await.status, 200, "others are served");
}

#[tokio::test]
async fn an_idle_connection_is_ended() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("TIMEOUTS__KEEP_ALIVE_TIMEOUT_MS", "200")]);
        let mut raw = Raw::connect(url(&demo)).await;
        for _ in 0..3 {
            assert_eq!(raw.http(&description()).await.status, 200);
        }
        assert_eq!(raw.drain().await, b"", "it says nothing more");
    }
}

/// Whoever pools connections sends a request into one that was idle for longer than a header may
/// take.
#[tokio::test]
async fn an_idle_connection_outlives_the_time_of_a_header() {
    let demo = node_with("1", &[("TIMEOUTS__HEADER_TIMEOUT_MS", "50")]);
    let (clients, operator) = (url(&demo), demo.nodes[0].operator.address());
    let mut pooled = Raw::connect(clients).await;
    assert_eq!(pooled.http(&description()).await.status, 200);
    let mut scraper = Raw::connect(operator).await;
    let look = request("GET", "/healthz", &[], "");
    assert_eq!(scraper.http(&look).await.status, 200);
    // A connection that never asked anything ends by the header's time, and tells that it is over.
    assert_eq!(Raw::connect(clients).await.drain().await, b"");
    assert_eq!(pooled.http(&description()).await.status, 200);
    assert_eq!(scraper.http(&look).await.status, 200);
}

/// Heads that a peer in front of the node might read another way (RFC 9112).
#[tokio::test]
async fn heads_that_can_be_read_in_two_ways_are_refused() {
    let demo = node_with("1", &[]);
    let post = publish(1);
    let with = |lines: &str| post.replace("host: a\r\n", lines);
    let table = [
        (with(""), 400, "header Host: must be there once, not 0 times"),
        (with("host: a\r\nHost: b\r\n"), 400, "header Host: must be there once, not 2 times"),
        (with("host: a\n"), 400, "must end with CRLF"),
        (post.replacen("HTTP/1.1\r\n", "HTTP/1.1\n", 1), 400, "must end with CRLF"),
        (post.replacen("\r\n\r\n", "\r\n\n", 1), 400, "must end with CRLF"),
        (with("host: a\r\ntransfer-encoding: gzip\r\n"), 501, "\"gzip\", must be `chunked`"),
        (with("host: a\r\ntransfer-encoding: gzip, chunked\r\n"), 501, "must be `chunked`"),
        (with("host: a\r\ntransfer-encoding: chunked\r\n"), 400, "only one may be there"),
    ];
    for address in [url(&demo), demo.nodes[0].operator.address()] {
        for (request, status, part) in &table {
            let answer = ask(address, request).await;
            assert_eq!(answer.status, *status, "{request}{answer:?}");
            assert!(answer.body.contains(part), "{request}{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{request}");
        }
    }
    let answer = ask(url(&demo), &UPGRADE.replace("host: a\r\n", "")).await;
    assert_eq!(answer.status, 400, "a WebSocket is no exception");
    let old = publish(1).replace("HTTP/1.1", "HTTP/1.0").replace("host: a\r\n", "");
    assert_eq!(ask(url(&demo), &old).await.status, 202, "there was no such header then");
}

/// The line ends of a body are nobody's business, and what follows a body is a head again.
#[tokio::test]
async fn bodies_with_bare_line_feeds_are_passed_and_heads_behind_them_are_not() {
    let demo = node_with("1", &[]);
    let body = "{\"events\":\n\n[{\"subject\":\"topic.a\",\"data\":1}]}";
    let whole = bearing(&token("alice"), "POST", "/v1/publish", body);
    let chunked = whole
        .replace(&format!("content-length: {}", body.len()), "transfer-encoding: chunked")
        .replace(body, &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    let flawed = whole.replace("host: a\r\n", "host: a\n");
    for request in [&whole, &chunked] {
        let mut raw = Raw::connect(url(&demo)).await;
        raw.send([&request[..], request, &flawed, request].concat().as_bytes()).await;
        for status in [202, 202, 400] {
            assert_eq!(raw.answer().await.status, status, "{request}");
        }
        assert_eq!(raw.drain().await, b"", "nothing is read behind a head with a flaw");
    }
}

#[tokio::test]
async fn who_leaves_answers_unread_is_dropped() {
    let demo = node_with(
        "1",
        &[("TIMEOUTS__WRITE_STALL_TIMEOUT_MS", "200"), ("TIMEOUTS__HEADER_TIMEOUT_MS", "60000")],
    );
    let mut raw = Raw::connect(url(&demo)).await;
    let packet = description().repeat(100);
    while raw.try_send(packet.as_bytes()).await {}
}

/// Who has shown a token is counted among the connections alone.
#[tokio::test]
async fn a_token_makes_room_for_another_handshake() {
    let keys = [
        ("listen.handshakes", "1"),
        ("listen.connections", "3"),
        ("timeouts.header_timeout_ms", "60000"),
    ];
    let (_store, served) = serve_with(&keys).await;
    let mut kept = Raw::connect(&served.url).await;
    assert_eq!(kept.http(&description()).await.status, 200);
    let mut stranger = Raw::connect(&served.url).await;
    let mut third = Raw::connect(&served.url).await;
    assert_eq!(third.http(&description()).await.status, 200);
    assert_eq!(stranger.drain().await, b"", "it held the only handshake");
    assert_eq!(kept.http(&description()).await.status, 200);
}

#[tokio::test]
async fn kept_connections_count_as_connections() {
    let (_store, served) = serve_with(&[("listen.connections", "2")]).await;
    let mut kept = [Raw::connect(&served.url).await, Raw::connect(&served.url).await];
    for raw in &mut kept {
        assert_eq!(raw.http(&description()).await.status, 200);
    }
    let mut third = Raw::connect(&served.url).await;
    let _sent = third.try_send(UPGRADE.as_bytes()).await;
    assert_eq!(third.drain().await, b"", "there is no place for it");
    assert_eq!(kept[0].http(&description()).await.status, 200);
}

/// A body that was asked for is under way, so its request is in flight.
#[tokio::test]
async fn requests_in_flight_are_bounded() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("LIMITS__REQUESTS_IN_FLIGHT", "1")]);
        let node = url(&demo);
        let (head, body) = {
            let request = publish(1).replace("host: a", "host: a\r\nexpect: 100-continue");
            let at = request.find("{\"events").expect("the body");
            (request[..at].to_owned(), request[at..].to_owned())
        };
        let mut first = Raw::connect(node).await;
        assert_eq!(first.http(&head).await.status, 100);
        let answer =
            refused(node, &publish(2), 503, "unavailable", "1 requests are in flight").await;
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(first.http(&body).await.status, 202);
        assert_eq!(ask(node, &publish(3)).await.status, 202, "the place is free again");
        assert_eq!(first.http(&head).await.status, 100);
        drop(first);
        let until = Instant::now() + PATIENCE;
        while ask(node, &publish(4)).await.status != 202 {
            assert!(Instant::now() < until, "who went away keeps the place");
        }
    }
}

#[tokio::test]
async fn a_draining_node_takes_no_requests_and_finishes_those_it_took() {
    let mut demo = node_with("3", &[("TIMEOUTS__HELLO_TIMEOUT_MS", "60000")]);
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(Raw::greeted(url(&demo), &token("alice")).await);
    }
    let mut kept = Raw::connect(url(&demo)).await;
    let inbox = bearing(&token("alice"), "GET", "/v1/users/me/inbox", "");
    assert_eq!(kept.http(&inbox).await.status, 200);
    let mut sending = Raw::connect(url(&demo)).await;
    let request = publish(1).replace("host: a", "host: a\r\nexpect: 100-continue");
    let at = request.find("{\"events").expect("the body");
    assert_eq!(sending.http(&request[..at]).await.status, 100);
    demo.process.signal("TERM");
    assert_eq!(crowd[0].receive_close().await.0, 4200);
    let answer = kept.http(&inbox).await;
    assert_eq!((answer.status, problem(&answer).0.as_str()), (503, "unavailable"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(sending.http(&request[at..]).await.status, 202);
    drop((crowd, sending));
    assert_eq!(demo.process.wait().0, Some(0));
}

#[tokio::test]
async fn sessions_are_not_disturbed_by_bad_requests() {
    let demo = node_with("1", &[]);
    let mut session = Raw::greeted(url(&demo), &token("alice")).await;
    for bad in
        ["\r\n\r\nx", "GET", "POST /v1/publish HTTP/1.1\r\ncontent-length: 5\r\n\r\n", "\0\0\0\0"]
    {
        let mut raw = Raw::connect(url(&demo)).await;
        raw.send(bad.as_bytes()).await;
    }
    let refused_one = bearing(&service(), "POST", "/v1/publish", "{");
    refused(url(&demo), &refused_one, 400, "bad_request", "not a body").await;
    session.send(&text(r#"{"op":"ping"}"#)).await;
    assert_eq!(session.receive_json().await["op"], "pong");
}
