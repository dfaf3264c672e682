//! Rooms in every op and route: ids with every byte, and who may not look.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing, problem, refused, service};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::{backend, room};

/// What a frame is told that names a room with a plain `%` at the second place of its id.
const ESCAPE: &str = "`%` at byte 1 must be followed by two hex digits";

/// The routes that name a room, by its id as it stands in a path, and a body where one is wanted.
fn routes(id: &str) -> [(&'static str, String, &'static str); 6] {
    [
        ("PUT", format!("/v1/rooms/{id}"), "{}"),
        ("GET", format!("/v1/rooms/{id}"), ""),
        ("GET", format!("/v1/rooms/{id}/members"), ""),
        ("PUT", format!("/v1/rooms/{id}/members/ann"), "{}"),
        ("DELETE", format!("/v1/rooms/{id}/members/ann"), ""),
        ("GET", format!("/v1/conversations/room.{id}/messages"), ""),
    ]
}

/// The ops that name a room.
fn ops(conversation: &str) -> [Value; 4] {
    let upto = "00000000-0000-7000-8000-000000000000";
    [
        json!({"op": "send", "conversation": conversation, "body": 1}),
        json!({"op": "history", "conversation": conversation}),
        json!({"op": "mark_read", "conversation": conversation, "upto": upto}),
        json!({"op": "signal", "conversation": conversation, "name": "typing", "data": 1}),
    ]
}

/// A segment of a path is the raw id. In the conversation of a path, the `%` of an id is encoded
/// once more.
#[tokio::test]
async fn a_room_id_may_hold_every_byte_of_a_text() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    for byte in 0..=u8::MAX {
        for (method, path, body) in routes(&format!("x%{byte:02X}")) {
            let request = bearing(&service(), method, &path, body);
            let is_escape = byte == b'%' && path.starts_with("/v1/conversations/");
            let part = if is_escape { ESCAPE } else { "UTF-8" };
            if byte >= 0x80 || is_escape {
                refused(node, &request, 400, "bad_request", part).await;
            } else {
                assert!(ask(node, &request).await.status < 300, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_op_takes_every_byte_of_a_rooms_id_but_a_percent_sign() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let mut alice = Client::login(node, &token("alice")).await.unwrap();
    for byte in 0..0x80_u8 {
        let plain = format!("room.x{}", char::from(byte));
        let escaped = format!("room.x%{byte:02x}");
        for op in ops(&plain).into_iter().chain(ops(&escaped)) {
            let answer = alice.ask(op.clone()).await.unwrap();
            let is_escape = byte == b'%' && op["conversation"] == plain;
            let code = if is_escape { "bad_request" } else { "not_found" };
            assert_eq!(answer["code"], code, "{op} {answer}");
            assert!(!is_escape || answer["detail"].as_str().unwrap().contains(ESCAPE), "{answer}");
        }
    }
}

/// Writing into a room over HTTP.
fn posts(id: &str) -> [(&'static str, String, String); 2] {
    let conversation = format!("room.{id}");
    let event = json!({"conversation": conversation, "name": "typing", "data": 1});
    let message = json!({"conversation": conversation, "body": 1});
    [
        ("POST", "/v1/messages".into(), message.to_string()),
        ("POST", "/v1/publish".into(), json!({ "events": [event] }).to_string()),
    ]
}

/// What is not there, what is not one's own and what is one's own no longer get the same answer,
/// whatever is asked, and whoever may make rooms.
#[tokio::test]
async fn who_is_not_in_a_room_is_told_as_if_there_were_none() {
    for (workers, create) in WORKERS.into_iter().flat_map(|it| [(it, "service"), (it, "anyone")]) {
        let demo = node_with(workers, &[("POLICY__CREATE", create)]);
        let node = url(&demo);
        room(node, "left", "all", &["alice", "bob"]).await;
        room(node, "foreign", "all", &["bob"]).await;
        room(node, "bob-club", "all", &["bob"]).await;
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let hi = json!({"op": "send", "conversation": "room.left", "body": "in"});
        assert_eq!(alice.ask(hi).await.unwrap()["op"], "sent");
        let path = "/v1/rooms/left/members/alice";
        assert_eq!(backend(node, "DELETE", path, &Value::Null).await.0, 204);
        while alice.next().await.unwrap()["op"] != "left" {}
        let mut told: Vec<Vec<Value>> = Vec::new();
        for id in ["left", "foreign", "bob-club", "nowhere", "bob-nothing"] {
            told.push(answers(&mut alice, node, id).await);
        }
        assert!(told.iter().all(|answers| *answers == told[0]), "{create}: {told:#?}");
        let path = "/v1/rooms/nowhere";
        assert_eq!(backend(node, "GET", path, &Value::Null).await.0, 404, "nobody made it");
    }
}

/// Ids hold every character, so none of them has a part that is a user's: whoever makes a room is
/// given its id.
#[tokio::test]
async fn users_are_given_the_ids_of_their_rooms() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("POLICY__CREATE", "anyone")]);
        let node = url(&demo);
        let [acme, bob] = ["acme", "acme:bob"].map(token);
        for path in ["/v1/rooms/u:acme:bob:diary", "/v1/rooms/u:acme:diary", "/v1/rooms/diary"] {
            let request = bearing(&acme, "PUT", path, r#"{"title":"mine"}"#);
            refused(node, &request, 403, "forbidden", "`policy.create`").await;
            assert_eq!(backend(node, "GET", path, &Value::Null).await.0, 404, "nobody made it");
        }
        let mut ids = Vec::new();
        for _ in 0..2 {
            let post = bearing(&bob, "POST", "/v1/rooms", r#"{"title":"Diary"}"#);
            let answer = ask(node, &post).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            let made: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((&made["title"], &made["creator"]), (&json!("Diary"), &json!("acme:bob")));
            ids.push(made["id"].as_str().expect("an id").to_owned());
        }
        assert_ne!(ids[0], ids[1], "asking again makes another");
        for id in &ids {
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            let path = format!("/v1/rooms/{id}");
            let renamed = ask(node, &bearing(&bob, "PUT", &path, r#"{"title":"Ours"}"#)).await;
            assert_eq!(renamed.status, 200, "{renamed:?}");
            let foreign = bearing(&acme, "PUT", &path, r#"{"title":"mine"}"#);
            refused(node, &foreign, 403, "forbidden", "`policy.create`").await;
        }
        let owned = bearing(&bob, "POST", "/v1/rooms", r#"{"owner":"acme"}"#);
        refused(node, &owned, 403, "forbidden", "`owner` is for services").await;
    }
}

#[tokio::test]
async fn users_make_rooms_if_the_policy_lets_them_and_services_always() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let post = bearing(&token("alice"), "POST", "/v1/rooms", "{}");
    refused(node, &post, 403, "forbidden", "`policy.create`").await;
    let (status, made) = backend(node, "POST", "/v1/rooms", &json!({"owner": "alice"})).await;
    assert_eq!((status, &made["creator"]), (201, &json!("shop")), "{made}");
    let path = format!("/v1/rooms/{}", made["id"].as_str().expect("an id"));
    assert_eq!(ask(node, &bearing(&token("alice"), "GET", &path, "")).await.status, 200);
}

/// The codes and texts of everything that a user may ask of a room.
async fn answers(alice: &mut Client, node: &str, id: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for op in ops(&format!("room.{id}")) {
        let answer = alice.ask(op).await.unwrap();
        assert_eq!(answer["code"], "not_found", "{answer}");
        answers.push(json!([answer["code"], answer["detail"]]));
    }
    let looks = routes(id).map(|(method, path, body)| (method, path, body.to_owned()));
    for (method, path, body) in looks.into_iter().chain(posts(id)) {
        let answer = ask(node, &bearing(&token("alice"), method, &path, &body)).await;
        let is_room = method == "PUT" && !path.contains("members");
        let status = if is_room { 403 } else { 404 };
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answers.push(json!(problem(&answer)));
    }
    answers
}
