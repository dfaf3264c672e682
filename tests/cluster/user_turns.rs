//! What one user has with the store at once.

use narrowcast::client::Client;
use serde_json::json;

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
