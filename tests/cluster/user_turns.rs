//! What one user has with the store at once.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::login;
use super::removed::Scene;
use crate::harness::{eventually, token};

/// Sessions of one user, each with two reads, which are as many as it may have.
const SESSIONS: usize = 10;

/// Pages of a user that are read at once.
const AT_ONCE: usize = 8;

async fn ask_history(client: &Client, id: u64) {
    let request = json!({"op": "history", "id": id, "conversation": "user.bob"});
    client.send(&request.to_string()).await.expect("it reads");
}

async fn ping(client: &mut Client) {
    assert_eq!(client.ask(json!({"op": "ping"})).await.expect("it answers")["op"], "pong");
}

/// The further reads of this user wait for those in progress. Reads of other users do not wait.
#[tokio::test]
async fn many_sessions_of_a_user_leave_the_store_to_others() {
    let scene = Scene::set().await;
    let many = token("many");
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(login(&scene.url, &many).await);
    }
    let mut other = login(&scene.url, &token("other")).await;
    scene.store.hold();
    for session in &mut sessions {
        ask_history(session, 101).await;
        ask_history(session, 102).await;
        ping(session).await;
    }
    eventually("some are with the store", || scene.store.waiting() >= AT_ONCE).await;
    ask_history(&other, 101).await;
    eventually("so is the other", || scene.store.waiting() > AT_ONCE).await;
    ping(&mut other).await;
    assert_eq!(scene.store.waiting(), AT_ONCE + 1);
    scene.store.let_go();
    for client in sessions.iter_mut().chain([&mut other]) {
        assert_eq!(client.next().await.expect("an answer")["op"], "history");
    }
    drop((sessions, other));
    scene.strike().await;
}

/// Asks for so many things at once while the store holds its answers back. Returns how many frames
/// were held back, and the answers.
async fn held_and_answers(
    requests: impl Iterator<Item = Value>,
    at_once: usize,
) -> (u64, Vec<Value>) {
    let scene = Scene::set().await;
    let mut alice = login(&scene.url, &token("alice")).await;
    scene.store.hold();
    let mut asked = 0;
    for request in requests {
        alice.send(&request.to_string()).await.expect("it reads");
        asked += 1;
    }
    // Behind its answer all of them have been read.
    ping(&mut alice).await;
    eventually("as many as may are with the store", || scene.store.waiting() == at_once).await;
    let held = scene.operator().metric("narrowcast_frames_held_total");
    scene.store.let_go();
    let mut answers = Vec::new();
    while answers.len() < asked {
        answers.push(alice.next().await.expect("an answer"));
    }
    drop(alice);
    scene.strike().await;
    (held, answers)
}

/// Each of twenty sends is looked up before it gets an id, so that none is answered before all of
/// them are read.
#[tokio::test]
async fn sends_above_those_in_flight_wait_and_keep_their_order() {
    let send = |id: u64| {
        let nonce = id.to_string();
        json!({"op": "send", "id": id, "conversation": "user.bob", "body": id, "nonce": nonce})
    };
    let (held, answers) = held_and_answers((1..=20).map(send), 16).await;
    assert_eq!(held, 4, "sixteen are in flight");
    let mut stored = Vec::new();
    for answer in answers {
        assert_eq!(answer["op"], "sent", "{answer}");
        let id = answer["message"]["id"].as_str().expect("an id").to_owned();
        stored.push((id, answer["id"].as_u64().expect("a number")));
    }
    stored.sort();
    let order: Vec<u64> = stored.into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, (1..=20).collect::<Vec<_>>(), "message ids follow the order of arrival");
}

#[tokio::test]
async fn reads_above_those_in_flight_wait() {
    let read = |id: u64| json!({"op": "history", "id": id, "conversation": "user.bob"});
    let (held, answers) = held_and_answers((1..=5).map(read), 2).await;
    assert_eq!(held, 3, "two are in flight");
    assert!(answers.iter().all(|answer| answer["op"] == "history"), "{answers:?}");
    let mut answered: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64()).collect();
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3, 4, 5].map(Some));
}
