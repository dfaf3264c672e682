//! Bodies of requests that are too large, too slow, of the wrong kind or framed to deceive.

use serde_json::json;

use super::http::{ask, bearing, problem, refused, request, service};
use super::raw::{Answer, Raw};
use super::tokens::token;
use super::{WORKERS, node_with, url};

/// The default of `limits.frame_bytes`.
const BODY_BYTES_MAX: usize = 16_384;

const GOOD: &str = r#"{"events":[{"subject":"topic.a","data":1}]}"#;

/// A publish with these lines after its token, and this behind its header.
fn publish(lines: &str, body: &str) -> String {
    let token = token("alice");
    format!(
        "POST /v1/publish HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
        content-type: application/json\r\n{lines}\r\n{body}"
    )
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// GOOD with so many bytes of white space behind.
fn padded(bytes: usize) -> String {
    format!("{GOOD}{}", " ".repeat(bytes - GOOD.len()))
}

#[tokio::test]
async fn malformed_bodies_are_named() {
    let demo = node_with("3", &[]);
    let (user, service) = (token("alice"), service());
    let long_title = json!({"title": "t".repeat(257)}).to_string();
    let large_data = json!({"data": "d".repeat(1023)}).to_string();
    let large = json!({"conversation": "user.bob", "body": "b".repeat(8192)}).to_string();
    let deep =
        format!(r#"{{"conversation":"user.bob","body":{}{}}}"#, "[".repeat(16), "]".repeat(16));
    let post = ("POST", "/v1/messages");
    let room = ("PUT", "/v1/rooms/r");
    let member = ("PUT", "/v1/rooms/r/members/bob");
    let bad = "bad_request";
    let table = [
        (&user, post, "", 400, bad, "not a body: EOF"),
        (&user, post, "nonsense", 400, bad, "not a body"),
        (&user, post, "[]", 400, bad, "expected an object"),
        (&user, post, "{}", 400, bad, "`conversation` or `user` is missing"),
        (&user, post, r#"{"conversation":"user.bob"}"#, 400, bad, "`body` is missing"),
        (
            &user,
            post,
            r#"{"conversation":"user.bob","body":1,"b\u006fdy":2}"#,
            400,
            bad,
            "`body` is given twice",
        ),
        (
            &user,
            post,
            r#"{"conversation":"user.bob","body":1,"op":"send"}"#,
            400,
            bad,
            "`op` is not a field",
        ),
        (
            &user,
            post,
            r#"{"conversation":"topic.x","body":1}"#,
            400,
            bad,
            "`conversation`: must be",
        ),
        (
            &user,
            post,
            r#"{"conversation":"user.bob","body":1,"seen":"x"}"#,
            400,
            bad,
            "`seen` must be a message id",
        ),
        (
            &user,
            post,
            r#"{"conversation":"user.bob","body":1,"from":"bob"}"#,
            403,
            "forbidden",
            "`from` must be absent",
        ),
        (&service, post, r#"{"conversation":"user.bob","body":1}"#, 400, bad, "`from` is missing"),
        (&user, post, &large, 413, "too_large", "`body` has 8194 bytes, at most 8192"),
        (&user, post, &deep, 400, bad, "the body nests 17 levels, at most 16"),
        (&user, room, &long_title, 400, bad, "`title` has 257 bytes, at most 256 are allowed"),
        (&user, room, r#"{"history_visibility":"none"}"#, 400, bad, "`history_visibility` must be"),
        (&user, room, r#"{"owner":"bob"}"#, 403, "forbidden", "`owner` is for services"),
        (&service, room, r#"{"owner":"a%b"}"#, 400, bad, "`owner`: `%` at byte 1"),
        (&service, room, &large_data, 413, "too_large", "`data` has 1025 bytes, at most 1024"),
        (&user, member, r#"{"role":"king"}"#, 400, bad, "`role` must be"),
    ];
    for (token, (method, path), body, status, code, part) in table {
        refused(url(&demo), &bearing(token, method, path, body), status, code, part).await;
    }
    let mut binary = publish("content-length: 2\r\n", "").into_bytes();
    binary.extend([0xff, 0xfe]);
    let mut raw = Raw::connect(url(&demo)).await;
    raw.send(&binary).await;
    let (code, detail) = problem(&raw.answer().await);
    assert!(code == bad && detail.contains("not UTF-8"), "{detail}");
}

#[tokio::test]
async fn an_idempotency_key_is_1_to_64_bytes_once() {
    let demo = node_with("1", &[]);
    let (token, long) = (format!("Bearer {}", token("alice")), "k".repeat(65));
    let table = [
        ("", "must be of 1 to 64 bytes, not 0"),
        (&*long, "must be of 1 to 64 bytes, not 65"),
        ("a\r\nidempotency-key: b", "is given twice"),
        ("ä", "visible ASCII"),
    ];
    for (key, part) in table {
        let headers = [("authorization", &*token), ("idempotency-key", key)];
        let body = r#"{"conversation":"user.bob","body":1}"#;
        let request = request("POST", "/v1/messages", &headers, body);
        refused(url(&demo), &request, 400, "bad_request", part).await;
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let demo = node_with("1", &[]);
    let kind = "content-type: application/json\r\n";
    let length = format!("content-length: {}\r\n", GOOD.len());
    let with = |replacement: &str| publish(&length, GOOD).replace(kind, replacement);
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/json;x=y"] {
        let answer = ask(url(&demo), &with(&format!("content-type: {good}\r\n"))).await;
        assert_eq!(answer.status, 202, "{good}: {answer:?}");
    }
    for bad in
        ["content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n", ""]
    {
        let answer = refused(url(&demo), &with(bad), 415, "bad_request", "Content-Type").await;
        assert_eq!(answer.header("accept"), Some("application/json"));
    }
}

#[tokio::test]
async fn a_request_without_a_body_has_none() {
    let demo = node_with("1", &[]);
    let token = token("alice");
    for (method, path) in
        [("GET", "/v1/openapi.json"), ("GET", "/v1/rooms/r"), ("DELETE", "/v1/rooms/r/members/u")]
    {
        let request = bearing(&token, method, path, "{}");
        refused(url(&demo), &request, 400, "bad_request", "this request must not have one").await;
    }
    let empty = bearing(&token, "GET", "/v1/openapi.json", "")
        .replace("host: a", "host: a\r\ncontent-length: 0");
    assert_eq!(ask(url(&demo), &empty).await.status, 200);
}

#[tokio::test]
async fn a_body_is_bounded_in_bytes() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let fits = padded(BODY_BYTES_MAX);
    let length = format!("content-length: {BODY_BYTES_MAX}\r\n");
    assert_eq!(ask(node, &publish(&length, &fits)).await.status, 202);
    let chunked = format!("{}0\r\n\r\n", chunk(&fits));
    assert_eq!(ask(node, &publish("transfer-encoding: chunked\r\n", &chunked)).await.status, 202);
    // Nothing of the body is sent: it is the header that is refused.
    for bytes in ["16385", "1000000000000", "18446744073709551000"] {
        let request = publish(&format!("content-length: {bytes}\r\nexpect: 100-continue\r\n"), "");
        let part = format!("{bytes} bytes, at most 16384 are allowed");
        refused(node, &request, 413, "too_large", &part).await;
    }
    // Chunks without end: it is refused when the bound is passed, not at the end that never comes.
    let chunks = chunk(&" ".repeat(4096)).repeat(5);
    let request = publish("transfer-encoding: chunked\r\n", &chunks);
    let answer = refused(node, &request, 413, "too_large", "more bytes, at most 16384").await;
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("TIMEOUTS__BODY_TIMEOUT_MS", "200")]);
        for lines in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
            let mut raw = Raw::connect(url(&demo)).await;
            raw.send(publish(lines, "").as_bytes()).await;
            let trickle = async {
                // Each byte comes well within the bound, which is one for all of them.
                for byte in std::iter::once("64\r\n").chain(std::iter::repeat_n(" ", 100)) {
                    if !raw.try_send(byte.as_bytes()).await {
                        break;
                    }
                    if let Some(answer) =
                        raw.answer_within(std::time::Duration::from_millis(20)).await
                    {
                        return answer;
                    }
                }
                panic!("it was let trickle");
            };
            let answer: Answer = trickle.await;
            assert_eq!(answer.status, 408, "{answer:?}");
            assert!(problem(&answer).1.contains("within 200 ms"), "{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"));
        }
    }
}

/// Two readers of one stream must not see different requests in it.
#[tokio::test]
async fn a_body_has_one_length() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let inner = bearing(&token("alice"), "GET", "/v1/openapi.json", "");
    let (length, bytes) = (format!("content-length: {}\r\n", GOOD.len()), GOOD.len());
    let twice = publish(&format!("{length}content-length: {}\r\n", bytes + 1), GOOD);
    assert_eq!(ask(node, &twice).await.status, 400, "two that differ");
    for bad in ["-1", "+5", "0x5", "5, 6", "", "99999999999999999999999"] {
        let request = publish(&format!("content-length: {bad}\r\n"), GOOD);
        assert_eq!(ask(node, &request).await.status, 400, "{bad}");
    }
    for bad in ["gzip", "chunked, identity", "identity"] {
        let request = publish(&format!("transfer-encoding: {bad}\r\n"), GOOD);
        assert_eq!(ask(node, &request).await.status, 501, "{bad}");
    }
    // With both, one reader may go by either, and what follows is not taken for a request.
    let chunked = format!("{}0\r\n\r\n{inner}", chunk(GOOD));
    for lines in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let mut raw = Raw::connect(node).await;
        raw.send(publish(lines, &chunked).as_bytes()).await;
        let text = String::from_utf8(raw.drain().await).expect("a text");
        assert!(text.starts_with("HTTP/1.1 400") && !text.contains("openapi"), "{text}");
    }
    let broken = publish("transfer-encoding: chunked\r\n", "zz\r\n");
    refused(node, &broken, 400, "bad_request", "cannot be read").await;
}
