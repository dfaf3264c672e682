//! Lists of messages over HTTP, and messages that a room itself sends.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing, refused, request, service};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::{backend, frame, room};

const PATH: &str = "/v1/messages";

/// The outcomes of a list.
async fn outcomes(node: &str, token: &str, messages: &Value) -> Vec<Value> {
    let body = json!({ "messages": messages }).to_string();
    let answer = ask(node, &bearing(token, "POST", PATH, &body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    document["messages"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn each_message_of_a_list_has_its_key_and_its_outcome() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        room(node, "r", "all", &["alice", "bob"]).await;
        let to_room = |from: &str, body: i64| json!({"from": from, "conversation": "room.r", "body": body, "idempotency_key": format!("k{body}")});
        let list = json!([
            to_room("alice", 1),
            to_room("bob", 2),
            to_room("carol", 3),
            to_room("alice", 4),
            {"from": "bob", "user": "alice", "body": 5},
        ]);
        let first = outcomes(node, &service(), &list).await;
        assert_eq!(first.len(), 5, "{first:?}");
        for (at, from) in [(0, "alice"), (1, "bob"), (3, "alice"), (4, "bob")] {
            let message = &first[at]["message"];
            assert_eq!((&message["from"], &message["body"]), (&from.into(), &(at + 1).into()));
        }
        let refusal = json!({
            "code": "forbidden",
            "detail": "`from`: `carol` is not a member of `room.r`",
            "retry": "never",
        });
        assert_eq!(first[2], refusal);
        let id = |at: usize| first[at]["message"]["id"].as_str().expect("an id");
        assert!(id(0) < id(3) && id(1) < id(4), "a sender's messages keep their order");
        let again = outcomes(node, &service(), &list).await;
        for (again, first) in again.iter().zip(&first).take(4) {
            assert_eq!(again["message"], first["message"], "the keys are known");
            let is_sent = first.get("message").is_some();
            assert_eq!(again.get("replayed"), is_sent.then_some(&json!(true)), "{again}");
        }
        assert_ne!(again[4], first[4], "without a key it is another message");
        let path = "/v1/conversations/room.r/messages";
        let (_, page) = backend(node, "GET", path, &Value::Null).await;
        assert_eq!(page["messages"].as_array().expect("a page").len(), 3, "{page}");
    }
}

#[tokio::test]
async fn a_malformed_list_is_refused_whole() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let alice = token("alice");
    let good = json!({"user": "bob", "body": 1});
    let table = [
        (json!({"messages": []}), 400, "bad_request", "`messages` must be 1 to 100, not 0"),
        (
            json!({"messages": [good, {"user": "bob"}]}),
            400,
            "bad_request",
            "`messages[1]`: `body` is missing",
        ),
        (
            json!({"messages": [good, {"user": "bob", "body": 1, "from": "bob"}]}),
            403,
            "forbidden",
            "`messages[1]`: `from` must be absent",
        ),
        (
            json!({"messages": [good], "user": "bob"}),
            400,
            "bad_request",
            "`user` is not a field of it",
        ),
    ];
    for (body, status, code, part) in table {
        let request = bearing(&alice, "POST", PATH, &body.to_string());
        refused(node, &request, status, code, part).await;
    }
    let bearer = format!("Bearer {alice}");
    let headers = [("authorization", &*bearer), ("idempotency-key", "k")];
    let body = json!({"messages": [good]}).to_string();
    let keyed = request("POST", PATH, &headers, &body);
    refused(node, &keyed, 400, "bad_request", "an `idempotency_key` each").await;
    let inbox = ask(node, &bearing(&alice, "GET", "/v1/users/me/inbox", "")).await;
    assert_eq!(inbox.body, r#"{"conversations":[]}"#, "nothing was sent");
}

/// One message at once, and one a second.
const ONE: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__SEND_BURST", "1"), ("RATES__SENDS_PER_S", "1")];

#[tokio::test]
async fn behind_a_message_that_may_pass_later_the_senders_rest_is_not_tried() {
    let demo = node_with("1", &ONE);
    let list: Vec<Value> = (0..3).map(|body| json!({"user": "bob", "body": body})).collect();
    let outcomes = outcomes(url(&demo), &token("alice"), &list.into()).await;
    assert_eq!(outcomes[0]["message"]["body"], 0, "{outcomes:?}");
    assert_eq!(outcomes[1]["code"], "rate_limited");
    assert!(outcomes[1]["retry_after_ms"].as_u64().expect("it says when") > 0);
    assert_eq!(outcomes[2]["code"], "unavailable");
    assert!(outcomes[2]["detail"].as_str().expect("a text").starts_with("not tried"));
}

#[tokio::test]
async fn a_service_lets_a_room_itself_speak() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        room(node, "r", "all", &["alice"]).await;
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let news = json!({"conversation": "room.r", "body": "open"});
        let (status, sent) = backend(node, "POST", PATH, &news).await;
        let message = &sent["message"];
        assert_eq!(
            (status, &message["kind"], &message["body"]),
            (201, &"system".into(), &"open".into())
        );
        assert!(message.get("from").is_none(), "{message}");
        assert_eq!(frame(&mut alice).await["message"], *message);
        let page = alice.ask(json!({"op": "history", "conversation": "room.r"})).await.unwrap();
        assert_eq!(page["messages"], json!([message]), "it is stored so");
        let inbox = alice.ask(json!({"op": "inbox"})).await.unwrap();
        assert_eq!(inbox["conversations"][0]["last"], *message);
        for (conversation, status) in [("room.none", 404), ("dm.a.b", 400), ("user.a", 400)] {
            let body = json!({"conversation": conversation, "body": 1});
            assert_eq!(backend(node, "POST", PATH, &body).await.0, status, "{conversation}");
        }
        let said =
            alice.ask(json!({"op": "send", "conversation": "room.r", "body": 1})).await.unwrap();
        assert!(said["message"].get("kind").is_none() && said["message"]["from"] == "alice");
    }
}
