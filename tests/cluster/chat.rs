//! Talking as a user.

use narrowcast::client::Client;
use serde_json::{Value, json};

use crate::harness::PATIENCE;

/// Keys for tests in which a slow machine must not make a confirmation late.
pub const PATIENT: [(&str, &str); 2] = [
    ("TIMEOUTS__BUCKET_SUBSCRIBE_TIMEOUT_MS", "15000"),
    ("TIMEOUTS__SUBSCRIBE_TIMEOUT_MS", "15000"),
];

pub async fn login(url: &str, token: &str) -> Client {
    Client::login(url, token).await.expect("the node lets the user in")
}

/// Sends a message, which must be acknowledged: its id.
pub async fn send(client: &mut Client, to: &str, body: Value) -> String {
    let request = json!({"op": "send", "conversation": format!("user.{to}"), "body": body});
    let answer = client.ask(request).await.expect("the node answers");
    assert_eq!(answer["op"], "sent", "{answer}");
    answer["message"]["id"].as_str().expect("an id").to_owned()
}

/// Publishes an event, which must be accepted.
pub async fn publish(client: &mut Client, subject: &str, data: Value) {
    let request = json!({"op": "publish", "subject": subject, "data": data});
    let answer = client.ask(request).await.expect("the node answers");
    assert_eq!(answer["op"], "ok", "{answer}");
}

pub async fn subscribe(client: &mut Client, pattern: &str) {
    let request = json!({"op": "subscribe", "patterns": [pattern]});
    let answer = client.ask(request).await.expect("the node answers");
    assert_eq!(answer["op"], "ok", "{answer}");
}

/// The next frame that answers nothing.
pub async fn next(client: &mut Client) -> Value {
    client.next_within(PATIENCE).await.expect("something comes")
}

/// The body of the next frame but cursors, which must be a message.
pub async fn body(client: &mut Client) -> Value {
    let mut frame = next(client).await;
    while frame["op"] == "cursor" {
        frame = next(client).await;
    }
    assert_eq!(frame["op"], "message", "{frame}");
    frame["message"]["body"].clone()
}

/// The bodies of the messages up to this one, and it.
pub async fn bodies_until(client: &mut Client, last: &Value) -> Vec<Value> {
    let mut bodies = Vec::new();
    while bodies.last() != Some(last) {
        bodies.push(body(client).await);
    }
    bodies
}

/// Every message of a conversation, (id, body), oldest first, page by page.
pub async fn history(client: &mut Client, with: &str) -> Vec<(String, Value)> {
    let mut newest_first = Vec::new();
    let mut page_token = Value::Null;
    loop {
        let mut request = json!({"op": "history", "conversation": format!("user.{with}")});
        if !page_token.is_null() {
            request["page"] = page_token;
        }
        let page = client.ask(request).await.expect("the node answers");
        assert_eq!(page["op"], "history", "{page}");
        for message in page["messages"].as_array().expect("a list") {
            let id = message["id"].as_str().expect("an id").to_owned();
            newest_first.push((id, message["body"].clone()));
        }
        page_token = page["next"].clone();
        if page_token.is_null() {
            newest_first.reverse();
            return newest_first;
        }
    }
}
