//! Who is added has what is sent behind the answer, and in a room without a past nothing of what
//! came before, whatever the machines of the nodes show.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::super::chat::login;
use super::super::resume::resume;
use super::super::rooms::{add, backend, room};
use super::Scene;
use crate::harness::{PATIENCE, token};

/// How far the second machine is ahead of the first, in milliseconds.
const AHEAD: [i64; 6] = [0, 2, 5, 20, 1000, 2000];

/// Rooms of each case.
const ROOMS: usize = 20;

/// Where the user is while he is added by the second node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// At the node that adds him.
    There,
    /// At the one through which something is sent.
    Here,
    /// Away: he comes back with his cursor.
    Away,
}

/// Says something in a room as a service: the message's id.
async fn post(url: &str, room: &str, body: &str) -> String {
    let message = json!({"from": "owner", "conversation": format!("room.{room}"), "body": body});
    let (status, sent) = backend(url, "POST", "/v1/messages", &message).await;
    assert_eq!(status, 201, "{sent}");
    sent["message"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
}

/// A room that the first node made.
async fn with_owner(scene: &Scene, id: &str, history: &str) {
    room(&scene.url(0), id, history, &["owner"]).await;
}

/// Whether a client is told a message with this body.
async fn hears(client: &mut Client, body: &str) -> bool {
    while let Ok(frame) = client.next_within(PATIENCE).await {
        if frame["op"] == "message" && frame["message"]["body"] == body {
            return true;
        }
    }
    false
}

/// Adds a user by the second node and sends by the first behind the answer: whether he has it.
async fn has_what_is_sent_behind(scene: &Scene, case: &str, place: Where) -> bool {
    let user = format!("bob-{case}");
    let (bob, id) = (token(&user), format!("r-{case}"));
    with_owner(scene, &id, "all").await;
    let at = scene.url(usize::from(place == Where::There));
    let cursor = resume(&at, &bob, None).await.text();
    let mut live = match place {
        Where::Away => None,
        _ => Some(login(&at, &bob).await),
    };
    add(&scene.url(1), &id, &user).await;
    post(&scene.url(0), &id, "behind").await;
    match &mut live {
        Some(client) => hears(client, "behind").await,
        None => resume(&at, &bob, Some(&cursor)).await.missed.contains(&json!("behind")),
    }
}

/// How many users in these places miss what was sent behind the answer.
async fn missed(scene: &Scene, name: &str, places: &[Where]) -> usize {
    let mut missed = 0;
    for place in places {
        for number in 0..ROOMS {
            let case = format!("{name}-{place:?}-{number}").to_lowercase();
            missed += usize::from(!has_what_is_sent_behind(scene, &case, *place).await);
        }
    }
    missed
}

/// Sends by the second node, which is ahead, and adds by the first behind the answer: whether the
/// new member is shown it in a room without a past.
async fn is_shown_what_came_before(scene: &Scene, case: &str) -> bool {
    let (user, id) = (format!("eve-{case}"), format!("p-{case}"));
    with_owner(scene, &id, "joined").await;
    post(&scene.url(1), &id, "before").await;
    add(&scene.url(0), &id, &user).await;
    let path = format!("/v1/conversations/room.{id}/messages?limit=10");
    let eve = token(&user);
    let (status, page) =
        super::super::rooms::as_user(&scene.url(0), &eve, "GET", &path, &Value::Null).await;
    assert_eq!(status, 200, "{page}");
    page["messages"].as_array().is_some_and(|messages| !messages.is_empty())
}

/// Two nodes whose machines differ by so much, both of which heed the store's clocks.
async fn two_nodes(ahead: i64) -> Scene {
    let scene = Scene::set(2, |skew| skew);
    scene.machines[1].set_ahead(ahead * 1000);
    scene.ready().await;
    scene
}

#[tokio::test]
async fn whoever_is_added_has_what_is_sent_behind_the_answer_whatever_machines_show() {
    for ahead in AHEAD {
        let scene = two_nodes(ahead).await;
        let places = [Where::There, Where::Here, Where::Away];
        let missed = missed(&scene, &format!("a{ahead}"), &places).await;
        assert_eq!(missed, 0, "{ahead} ms apart");
        let mut shown = 0;
        for number in 0..ROOMS {
            shown +=
                usize::from(is_shown_what_came_before(&scene, &format!("{ahead}-{number}")).await);
        }
        assert_eq!(shown, 0, "{ahead} ms apart");
        scene.strike().await;
    }
}

/// The negative control: each node takes another time for the store's, as if it went by its own.
#[tokio::test]
async fn nodes_that_go_by_times_of_their_own_miss_it() {
    let scene = Scene::set(2, |skew| skew);
    scene.skews[1].set_ahead(1000);
    scene.ready().await;
    let missed = missed(&scene, "own", &[Where::Away]).await;
    assert!(missed > ROOMS / 2, "{missed} of {ROOMS}");
    scene.strike().await;
}
