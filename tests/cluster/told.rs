//! Read marks and changes of rooms whose writes are answered late or never: what is told of them.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::{login, send};
use super::removed::Scene;
use super::removed::held::NextWrite;
use super::rooms::{backend, frame, room};
use crate::harness::{eventually, token};

/// Ann, and a phone and a tablet of Ben. Ann has sent two messages to Ben.
async fn devices(scene: &Scene) -> ([Client; 3], [Value; 2]) {
    let mut ann = login(&scene.url, &token("ann")).await;
    let mut phone = login(&scene.url, &token("ben")).await;
    let mut tablet = login(&scene.url, &token("ben")).await;
    let mut ids = [Value::Null, Value::Null];
    for id in &mut ids {
        send(&mut ann, "ben", json!("hi")).await;
        *id = frame(&mut phone).await["message"]["id"].clone();
        assert_eq!(frame(&mut tablet).await["message"]["id"], *id);
    }
    ([ann, phone, tablet], ids)
}

fn mark(id: u64, upto: &Value) -> Value {
    json!({"op": "mark_read", "id": id, "conversation": "user.ann", "upto": upto})
}

/// What the tablet is told before a message that comes now.
async fn told(ann: &mut Client, tablet: &mut Client) -> Vec<Value> {
    send(ann, "ben", json!("now")).await;
    let mut told = Vec::new();
    loop {
        let frame = frame(tablet).await;
        match frame["op"].as_str() {
            Some("read") => told.push(frame["upto"].clone()),
            _ => return told,
        }
    }
}

#[tokio::test]
async fn a_mark_that_is_answered_late_is_not_told_behind_a_later_one() {
    let scene = Scene::set().await;
    let ([mut ann, mut phone, mut tablet], [first, second]) = devices(&scene).await;
    scene.store.hold();
    scene.store.next_write(NextWrite::Held);
    phone.send(&mark(101, &first).to_string()).await.expect("it reads");
    eventually("the answer waits", || scene.store.waiting() == 1).await;
    phone.send(&mark(102, &second).to_string()).await.expect("it reads");
    assert_eq!(frame(&mut phone).await, json!({"op": "ok", "id": 102}));
    scene.store.let_go();
    assert_eq!(frame(&mut phone).await, json!({"op": "ok", "id": 101}));
    assert_eq!(told(&mut ann, &mut tablet).await, [second]);
    scene.strike().await;
}

#[tokio::test]
async fn a_mark_that_was_stored_and_not_told_is_told_when_it_is_tried_again() {
    let scene = Scene::set().await;
    let ([mut ann, mut phone, mut tablet], [first, _]) = devices(&scene).await;
    scene.store.next_write(NextWrite::Doubted);
    let refused = phone.ask(mark(1, &first)).await.expect("an answer");
    assert_eq!(refused["code"], "unavailable", "{refused}");
    for _ in 0..2 {
        assert_eq!(phone.ask(mark(2, &first)).await.expect("an answer")["op"], "ok");
    }
    assert_eq!(told(&mut ann, &mut tablet).await, [first], "once");
    scene.strike().await;
}

#[tokio::test]
async fn a_title_that_was_stored_and_not_told_is_told_when_it_is_tried_again() {
    let scene = Scene::set().await;
    let (path, hall) = ("/v1/rooms/r", json!({"title": "Hall"}));
    room(&scene.url, "r", "all", &["ben"]).await;
    let mut ben = login(&scene.url, &token("ben")).await;
    scene.store.next_write(NextWrite::Doubted);
    assert_eq!(backend(&scene.url, "PUT", path, &hall).await.0, 504);
    for _ in 0..2 {
        assert_eq!(backend(&scene.url, "PUT", path, &hall).await.0, 200);
    }
    backend(&scene.url, "PUT", path, &json!({"title": "Attic"})).await;
    for title in ["Hall", "Attic"] {
        assert_eq!(frame(&mut ben).await["title"], title, "once each");
    }
    drop(ben);
    scene.strike().await;
}
