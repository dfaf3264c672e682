//! What members are told of each other: who changed what, and nothing where nothing changed.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::login;
use super::rooms::{add, as_user, backend, frame, say};
use crate::harness::{Demo, token};

/// A room that Ann made and owns, with Ben in it.
async fn club(url: &str) {
    let wish = json!({"title": "Club", "owner": "ann"});
    assert_eq!(backend(url, "PUT", "/v1/rooms/club", &wish).await.0, 201);
    add(url, "club", "ben").await;
}

async fn as_ann(url: &str, method: &str, path: &str, body: &Value) {
    let (status, answer) = as_user(url, &token("ann"), method, path, body).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
}

/// A frame without its time, which must be there.
fn untimed(mut frame: Value) -> Value {
    let at = frame.as_object_mut().expect("an object").remove("at");
    assert!(at.as_ref().is_some_and(Value::is_u64), "{frame}: {at:?}");
    frame
}

#[tokio::test]
async fn every_change_says_who_made_it_and_when() {
    let demo = Demo::start(2, &[], &[("WORKERS", "2")]);
    let [here, there] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    club(here).await;
    let mut ann = login(here, &token("ann")).await;
    let mut ben = login(there, &token("ben")).await;
    let mut cat = login(there, &token("cat")).await;
    let cats = "/v1/rooms/club/members/cat";
    let conversation = "room.club";

    as_ann(here, "PUT", cats, &json!({})).await;
    let entry = json!({"conversation": conversation, "kind": "room", "title": "Club"});
    let joined = |op: &str, role: &str| json!({"op": op, "conversation": conversation, "user": "cat", "role": role, "by": "ann"});
    let mut to_cat = joined("joined", "member");
    to_cat["entry"] = entry;
    assert_eq!(untimed(frame(&mut cat).await), to_cat, "with her entry of the inbox");
    for client in [&mut ann, &mut ben] {
        assert_eq!(untimed(frame(client).await), joined("joined", "member"));
    }

    as_ann(here, "PUT", cats, &json!({"role": "owner"})).await;
    for client in [&mut ann, &mut ben, &mut cat] {
        assert_eq!(untimed(frame(client).await), joined("member", "owner"));
    }

    as_ann(here, "PUT", "/v1/rooms/club", &json!({"title": "Hall"})).await;
    let hall =
        json!({"op": "room_changed", "conversation": conversation, "title": "Hall", "by": "ann"});
    for client in [&mut ann, &mut ben, &mut cat] {
        assert_eq!(untimed(frame(client).await), hall);
    }

    as_ann(here, "DELETE", cats, &Value::Null).await;
    let left = json!({"op": "left", "conversation": conversation, "user": "cat", "by": "ann"});
    for client in [&mut ann, &mut ben, &mut cat] {
        assert_eq!(untimed(frame(client).await), left);
    }
    // `by` tells leaving from a removal, and a change by a service has none.
    let bens = "/v1/rooms/club/members/ben";
    let left = as_user(there, &token("ben"), "DELETE", bens, &Value::Null).await;
    assert_eq!(left.0, 204, "{}", left.1);
    add(here, "club", "dan").await;
    let left = json!({"op": "left", "conversation": conversation, "user": "ben", "by": "ben"});
    assert_eq!(untimed(frame(&mut ann).await), left);
    assert_eq!(untimed(frame(&mut ben).await), left);
    let joined =
        json!({"op": "joined", "conversation": conversation, "user": "dan", "role": "member"});
    assert_eq!(untimed(frame(&mut ann).await), joined);
}

/// What a member hears before a message that another one sends now.
async fn told_before(listener: &mut Client, speaker: &mut Client, mark: &Value) -> Vec<Value> {
    assert_eq!(say(speaker, "club", mark.clone()).await["op"], "sent");
    let mut told = Vec::new();
    loop {
        let frame = frame(listener).await;
        if frame["message"]["body"] == *mark {
            return told;
        }
        told.push(frame);
    }
}

/// An equal request changes nothing. It is announced again only as long as the announcement of the
/// first is not confirmed, and then it is the same announcement.
#[tokio::test]
async fn an_equal_change_is_not_told() {
    const TRIES: u32 = 100;
    let demo = Demo::start(2, &[], &[]);
    let [here, there] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    club(here).await;
    let mut ann = login(here, &token("ann")).await;
    let mut ben = login(there, &token("ben")).await;
    let (cats, owner) = ("/v1/rooms/club/members/cat", json!({"role": "owner"}));
    let steps = [("PUT", json!({})), ("PUT", owner), ("DELETE", Value::Null)];
    for (method, body) in steps {
        backend(here, method, cats, &body).await;
        let first = told_before(&mut ben, &mut ann, &json!([0, body])).await;
        assert_eq!(first.len(), 1, "{method} {body}: {first:?}");
        let mut tries = 0;
        loop {
            tries += 1;
            assert!(tries < TRIES, "{method} {body} is told again and again");
            let (status, answer) = backend(here, method, cats, &body).await;
            assert!((200..300).contains(&status), "{answer}");
            let again = told_before(&mut ben, &mut ann, &json!([tries, body])).await;
            if again.is_empty() {
                break;
            }
        }
    }
}
