//! The upgrade: what is let through, what is told why it is not, and what is dropped.

use serde_json::json;

use super::http;
use super::raw::{Answer, Raw, UPGRADE, hello, text};
use super::tokens::token;
use super::{WORKERS, node_with, serve_with, url};

/// The upgrade with one line replaced by another, or by none.
fn with(line: &str, replacement: &str) -> String {
    assert!(UPGRADE.contains(line), "{line}");
    UPGRADE.replace(line, replacement)
}

async fn ask(node: &str, request: &str) -> Answer {
    Raw::connect(node).await.http(request).await
}

#[tokio::test]
async fn bad_upgrades_are_refused_with_what_is_wrong() {
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let table = [
        (with("GET", "POST"), 405, "POST"),
        (with("HTTP/1.1", "HTTP/1.0"), 505, "HTTP/1.0"),
        (with(key, ""), 400, "Sec-WebSocket-Key"),
        (with(key, &key.repeat(2)), 400, "Sec-WebSocket-Key"),
        (with(key, "sec-websocket-key: c2hvcnQ=\r\n"), 400, "16 bytes in base64"),
        (with(key, "sec-websocket-key: !\r\n"), 400, "16 bytes in base64"),
        (with("version: 13", "version: 12"), 426, "must be 13"),
        (with("sec-websocket-version: 13\r\n", ""), 426, "as 13"),
        (with("upgrade: websocket\r\n", ""), 426, "Upgrade"),
        (with("upgrade: websocket\r\n", "upgrade: h2c\r\n"), 426, "Upgrade"),
        (with("connection: upgrade\r\n", ""), 400, "Connection"),
        (with("connection: upgrade\r\n", "connection: keep-alive\r\n"), 400, "Connection"),
        (with("host: a\r\n", "host: a\r\ncontent-length: 4\r\n") + "body", 400, "body"),
        (with("/v1/ws", "/v1/wss"), 404, "/v1/ws"),
        (with("/v1/ws", "/"), 404, "/v1/ws"),
        (with("/v1/ws", "/v1/ws/"), 404, "/v1/ws"),
    ];
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        for (request, status, part) in &table {
            let answer = ask(url(&demo), request).await;
            assert_eq!(answer.status, *status, "{request}{answer:?}");
            assert!(answer.body.contains(part), "{request}{answer:?}");
        }
    }
}

#[tokio::test]
async fn refusals_tell_how_to_do_better() {
    let demo = node_with("1", &[]);
    let header = async |request: &str, name| {
        let answer = ask(url(&demo), request).await;
        answer.header(name).map(str::to_owned)
    };
    let version = header(&with("version: 13", "version: 12"), "sec-websocket-version").await;
    assert_eq!(version.as_deref(), Some("13"));
    let upgrade = header(&with("upgrade: websocket\r\n", ""), "upgrade").await;
    assert_eq!(upgrade.as_deref(), Some("websocket"));
    assert_eq!(header(&with("GET", "POST"), "allow").await.as_deref(), Some("GET"));
    let problem = header(&with("/v1/ws", "/x"), "content-type").await;
    assert_eq!(problem.as_deref(), Some("application/problem+json"));
}

#[tokio::test]
async fn a_refused_client_may_try_again_on_its_connection_if_it_has_shown_a_token() {
    let demo = node_with("1", &[]);
    let other_version = with("version: 13", "version: 12");
    let mut stranger = Raw::connect(url(&demo)).await;
    assert_eq!(stranger.http(&other_version).await.status, 426);
    assert_eq!(stranger.drain().await, b"", "it holds a place that others wait for");
    let mut raw = Raw::connect(url(&demo)).await;
    let description = http::bearing(&token("alice"), "GET", "/v1/openapi.json", "");
    assert_eq!(raw.http(&description).await.status, 200);
    assert_eq!(raw.http(&other_version).await.status, 426);
    assert_eq!(raw.http(UPGRADE).await.status, 101);
    raw.send(&hello(&token("alice"))).await;
    assert_eq!(raw.receive_json().await["op"], "ready");
}

#[tokio::test]
async fn a_good_upgrade_is_answered_as_the_rfc_says() {
    let demo = node_with("3", &[]);
    let offering = with("host: a\r\n", "host: a\r\nsec-websocket-protocol: x, narrowcast.v1\r\n");
    let answer = ask(url(&demo), &offering).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("narrowcast.v1"));
    let unknown = with("host: a\r\n", "host: a\r\nsec-websocket-protocol: x\r\n");
    let answer = ask(url(&demo), &unknown).await;
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, None));
    let routed = ask(url(&demo), &with("/v1/ws", "/v1/ws?user=alice")).await;
    assert_eq!(routed.status, 101, "the query is a hint for load balancers");
    let extended =
        with("host: a\r\n", "host: a\r\nsec-websocket-extensions: permessage-deflate\r\n");
    let answer = ask(url(&demo), &extended).await;
    assert_eq!((answer.status, answer.header("sec-websocket-extensions")), (101, None));
}

#[tokio::test]
async fn frames_in_the_packet_of_the_upgrade_are_not_lost() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        for user in ["alice", "bob", "carol", "dave"] {
            let ping = text(&json!({"op": "ping", "id": user}).to_string());
            let packet = [UPGRADE.as_bytes(), &hello(&token(user)), &ping].concat();
            let mut raw = Raw::connect(url(&demo)).await;
            raw.send(&packet).await;
            assert_eq!(raw.answer().await.status, 101);
            assert_eq!(raw.receive_json().await["user"], user);
            assert_eq!(raw.receive_op("pong").await["id"], user);
        }
    }
}

#[tokio::test]
async fn half_a_frame_in_the_packet_of_the_upgrade_is_continued() {
    let demo = node_with("3", &[]);
    let greeting = hello(&token("alice"));
    let (first, rest) = greeting.split_at(9);
    let mut raw = Raw::connect(url(&demo)).await;
    raw.send(&[UPGRADE.as_bytes(), first].concat()).await;
    assert_eq!(raw.answer().await.status, 101);
    raw.send(rest).await;
    assert_eq!(raw.receive_json().await["user"], "alice");
}

fn bearing(value: &str) -> String {
    with("host: a\r\n", &format!("host: a\r\nauthorization: {value}\r\n"))
}

/// Upgrades with this header, says this hello: the first answer and the connection.
async fn greeting(node: &str, authorization: &str, hello: &str) -> (serde_json::Value, Raw) {
    let mut raw = Raw::connect(node).await;
    assert_eq!(raw.http(&bearing(authorization)).await.status, 101);
    raw.send(&text(hello)).await;
    (raw.receive_json().await, raw)
}

#[tokio::test]
async fn the_upgrade_may_carry_the_token() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let value = format!("{scheme} {}", token("alice"));
            let (ready, _raw) = greeting(node, &value, r#"{"op":"hello"}"#).await;
            assert_eq!(ready["user"], "alice", "{scheme}: {ready}");
        }
        let own = json!({"op": "hello", "token": token("bob")}).to_string();
        let (ready, _raw) = greeting(node, &format!("Bearer {}", token("alice")), &own).await;
        assert_eq!(ready["user"], "bob", "the frame's own token goes first");
    }
}

#[tokio::test]
async fn a_bad_token_of_the_upgrade_is_refused_at_hello() {
    let demo = node_with("3", &[]);
    let table = [
        ("Bearer nonsense".to_owned(), "not valid"),
        ("Bearer".to_owned(), "`token` is missing"),
        (format!("Basic {}", token("alice")), "`token` is missing"),
    ];
    for (value, part) in table {
        let (error, mut raw) = greeting(url(&demo), &value, r#"{"op":"hello"}"#).await;
        assert!(error["detail"].as_str().unwrap().contains(part), "{value}: {error}");
        assert_eq!(raw.receive_close().await.0, 4001);
    }
}

#[tokio::test]
async fn only_configured_origins_may_connect() {
    let origins = r#"["https://chat.example.com", "http://localhost:3000"]"#;
    let (_store, served) = serve_with(&[("listen.origins", origins)]).await;
    let from = |origin: &str| with("host: a\r\n", &format!("host: a\r\norigin: {origin}\r\n"));
    let table = [
        (from("https://chat.example.com"), 101),
        (from("http://localhost:3000"), 101),
        (UPGRADE.to_owned(), 101),
        (from("http://chat.example.com"), 403),
        (from("https://chat.example.com:444"), 403),
        (from("https://chat.example.com.evil.example"), 403),
        (from("https://CHAT.example.com"), 403),
        (from("null"), 403),
        (from("https://chat.example.com\r\norigin: https://evil.example"), 403),
    ];
    for (request, status) in table {
        let answer = ask(&served.url, &request).await;
        assert_eq!(answer.status, status, "{request}{answer:?}");
        assert!(status == 101 || answer.body.contains("listen.origins"), "{answer:?}");
    }
}

#[tokio::test]
async fn any_page_may_connect_only_where_the_operator_says_so() {
    let request = with("host: a\r\n", "host: a\r\norigin: https://anywhere.example\r\n");
    let demo = node_with("1", &[]);
    assert_eq!(ask(url(&demo), &request).await.status, 403);
    let key = r#"[{ kid = "own", alg = "HS256", secret = "mine-mine-mine-mine-mine-mine-mine" }]"#;
    let any = [("listen.origins", r#"["*"]"#), ("auth.keys", key)];
    let (_store, served) = serve_with(&any).await;
    assert_eq!(ask(&served.url, &request).await.status, 101);
}

#[tokio::test]
async fn who_dawdles_over_the_header_is_dropped() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("TIMEOUTS__HEADER_TIMEOUT_MS", "100")]);
        for begun in ["GET /v1/ws HTTP/1.1\r\nhost: a\r\nupg", ""] {
            let mut raw = Raw::connect(url(&demo)).await;
            raw.send(begun.as_bytes()).await;
            let answer = String::from_utf8(raw.drain().await).unwrap();
            assert!(!answer.contains("101"), "{begun}: {answer}");
        }
        let answer = ask(url(&demo), UPGRADE).await;
        assert_eq!(answer.status, 101, "others are served");
    }
}

#[tokio::test]
async fn a_header_without_end_is_refused() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::connect(url(&demo)).await;
    let filler = format!("GET /v1/ws HTTP/1.1\r\nfiller: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(raw.http(&filler).await.status, 431);
    let many = "a: b\r\n".repeat(70);
    let answer = ask(url(&demo), &format!("GET /v1/ws HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn handshakes_are_bounded_apart_from_sessions() {
    let (_store, served) = serve_with(&[("listen.handshakes", "1")]).await;
    let mut session = Raw::greeted(&served.url, &token("alice")).await;
    let mut dawdler = Raw::connect(&served.url).await;
    assert_eq!(dawdler.http(&with("/v1/ws", "/x")).await.status, 404, "it holds the place");
    let _next = Raw::upgraded(&served.url).await;
    assert_eq!(dawdler.drain().await, b"", "it made room");
    session.send(&text(r#"{"op":"ping"}"#)).await;
    assert_eq!(session.receive_json().await["op"], "pong");
}

#[tokio::test]
async fn connections_are_bounded() {
    let (_store, served) = serve_with(&[("listen.connections", "1")]).await;
    let mut session = Raw::greeted(&served.url, &token("alice")).await;
    let mut next = Raw::connect(&served.url).await;
    let _sent = next.try_send(UPGRADE.as_bytes()).await;
    assert_eq!(next.drain().await, b"", "there is no place for it");
    session.send(&text(r#"{"op":"ping"}"#)).await;
    assert_eq!(session.receive_json().await["op"], "pong");
}
