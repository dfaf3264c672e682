//! Requests to the HTTP API, as they stand on the wire.

use serde_json::Value;

use super::raw::{Answer, Raw};
use super::tokens::{claims, sign};

/// A request with these header lines, and a body if there is one.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = match body.len() {
        0 => String::new(),
        bytes => format!("content-type: application/json\r\ncontent-length: {bytes}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{}{length}\r\n{body}", lines.concat())
}

/// The same with a token.
pub fn bearing(token: &str, method: &str, path: &str, body: &str) -> String {
    request(method, path, &[("authorization", &format!("Bearer {token}"))], body)
}

/// The answer on a connection of its own.
pub async fn ask(node: &str, request: &str) -> Answer {
    Raw::connect(node).await.http(request).await
}

/// A token of a backend.
pub fn service() -> String {
    let scope = Some(narrowcast::auth::TokenScope::Service);
    let nc = narrowcast::auth::TokenPermissions { scope, ..Default::default() };
    sign(&narrowcast::auth::Claims { nc, ..claims("shop") })
}

/// An answer must be a whole problem document: its code and detail.
pub fn problem(answer: &Answer) -> (String, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(document["status"], answer.status, "{answer:?}");
    assert_eq!(document["type"], "about:blank");
    let text = |name: &str| document[name].as_str().expect("a text").to_owned();
    assert!(["never", "later", "same_nonce"].contains(&&*text("retry")), "{document}");
    assert!(!text("title").is_empty());
    (text("code"), text("detail"))
}

/// A request must be refused with this status and code, and a detail that holds this.
pub async fn refused(node: &str, request: &str, status: u16, code: &str, part: &str) -> Answer {
    let answer = ask(node, request).await;
    let shown: String = request.chars().take(300).collect();
    assert_eq!(answer.status, status, "{shown}\n{answer:?}");
    let (found, detail) = problem(&answer);
    assert!(found == code && detail.contains(part), "{shown}\n{found}: {detail}");
    assert!(detail.len() < 400, "it does not repeat what is long: {detail}");
    answer
}
