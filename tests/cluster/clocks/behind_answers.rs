//! Who is added has what is sent behind the answer, and in a room without a past nothing of what
//! came before, whatever the machines of the nodes show.

use std::time::Duration;

use narrowcast::client::Client;
use narrowcast::clock::{CLAIMED_MAX, WallClock};
use narrowcast::domain::MessageId;
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};

use super::super::chat::login;
use super::super::resume::resume;
use super::super::rooms::{add, backend, room};
use super::Scene;
use crate::harness::{PATIENCE, eventually, token};

/// How far the second machine is ahead of the first, in milliseconds.
const AHEAD: [i64; 6] = [0, 2, 5, 20, 1000, 2000];

/// Rooms of each case.
const ROOMS: usize = 20;

/// Rooms of each case of the everyday run: the negative control misses most of its rooms.
const FEW_ROOMS: usize = 4;

/// Where the user is while the second node adds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// At the node that adds them.
    There,
    /// At the one through which something is sent.
    Here,
    /// Away; they come back with their cursor.
    Away,
}

/// Says something in a room as a service: the message's id.
pub async fn post(url: &str, room: &str, body: &str) -> String {
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
pub async fn hears(client: &mut Client, body: &str) -> bool {
    while let Ok(frame) = client.next_within(PATIENCE).await {
        if frame["op"] == "message" && frame["message"]["body"] == body {
            return true;
        }
    }
    false
}

/// Adds a user by the second node and sends by the first behind the answer: whether they have it.
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
async fn missed(scene: &Scene, name: &str, places: &[Where], rooms: usize) -> usize {
    let mut missed = 0;
    for place in places {
        for number in 0..rooms {
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
    let scene = Scene::start(2, |skew| skew);
    scene.machines[1].set_ahead(ahead * 1000);
    scene.until_ready().await;
    scene
}

/// What a new member lacks of what came behind, and is shown of what came before.
async fn wrongs(ahead: i64, rooms: usize) -> (i64, usize, usize) {
    let scene = two_nodes(ahead).await;
    let places = [Where::There, Where::Here, Where::Away];
    let missed = missed(&scene, &format!("a{ahead}"), &places, rooms).await;
    let mut shown = 0;
    for number in 0..rooms {
        shown += usize::from(is_shown_what_came_before(&scene, &format!("{ahead}-{number}")).await);
    }
    scene.strike().await;
    (ahead, missed, shown)
}

/// Nodes whose machines are apart by each of `AHEAD`, all at once.
async fn none_is_wrong(rooms: usize) {
    let all_at_once = async {
        for scene in AHEAD.map(|ahead| spawn_local(wrongs(ahead, rooms))) {
            let (ahead, missed, shown) = scene.await.expect("a scene ends");
            assert_eq!((missed, shown), (0, 0), "{ahead} ms apart");
        }
    };
    LocalSet::new().run_until(all_at_once).await;
}

#[tokio::test]
async fn whoever_is_added_has_what_is_sent_behind_the_answer_whatever_machines_show() {
    none_is_wrong(FEW_ROOMS).await;
}

#[tokio::test]
#[ignore = "takes long: scripts/test"]
async fn in_many_rooms_whoever_is_added_has_what_is_sent_behind_the_answer() {
    none_is_wrong(ROOMS).await;
}

/// The negative control: each node takes another time for the store's, as if it went by its own.
#[tokio::test]
async fn nodes_that_go_by_times_of_their_own_miss_it() {
    let scene = Scene::start(2, |skew| skew);
    scene.skews[1].set_ahead(1000);
    scene.until_ready().await;
    let missed = missed(&scene, "own", &[Where::Away], ROOMS).await;
    assert!(missed > ROOMS / 2, "{missed} of {ROOMS}");
    scene.strike().await;
}

/// Both nodes add the same user at once. Each answer is a promise of its own.
#[tokio::test]
async fn what_is_sent_behind_the_first_of_two_equal_adds_is_had() {
    let scene = two_nodes(1000).await;
    for number in 0..ROOMS {
        let (user, id) = (format!("twice-{number}"), format!("t-{number}"));
        with_owner(&scene, &id, "all").await;
        let bob = token(&user);
        let cursor = resume(&scene.url(0), &bob, None).await.text();
        let body = format!("behind {number}");
        let behind = async {
            add(&scene.url(number % 2), &id, &user).await;
            post(&scene.url(1 - number % 2), &id, &body).await;
        };
        let other = scene.url(1 - number % 2);
        tokio::join!(behind, add(&other, &id, &user));
        let back = resume(&scene.url(0), &bob, Some(&cursor)).await;
        assert!(back.missed.contains(&json!(body)), "{:?}", back.missed);
    }
    scene.strike().await;
}

/// Members in one request: one wait, and an outcome each.
#[tokio::test]
async fn members_who_are_added_together_have_what_is_sent_behind_the_answer() {
    let scene = two_nodes(20).await;
    with_owner(&scene, "crowd", "all").await;
    let users: Vec<String> = (0..ROOMS).map(|number| format!("many-{number}")).collect();
    let mut cursors = Vec::new();
    for user in &users {
        cursors.push(resume(&scene.url(0), &token(user), None).await.text());
    }
    let members: Vec<_> = users.iter().map(|user| json!({"user": user})).collect();
    let path = "/v1/rooms/crowd/members";
    let (status, answer) = backend(&scene.url(1), "PUT", path, &json!({"members": members})).await;
    assert_eq!(status, 200, "{answer}");
    post(&scene.url(0), "crowd", "behind").await;
    for ((user, cursor), added) in
        users.iter().zip(&cursors).zip(answer["members"].as_array().expect("a list"))
    {
        assert_eq!((&added["user"], &added["role"]), (&json!(user), &json!("member")), "{added}");
        let back = resume(&scene.url(0), &token(user), Some(cursor)).await;
        assert!(back.missed.contains(&json!("behind")), "{user}: {:?}", back.missed);
    }
    scene.strike().await;
}

/// The store's clocks are apart, so an add takes long, and the node loses the time meanwhile.
#[tokio::test]
async fn an_add_whose_node_loses_the_time_while_it_waits_is_not_known() {
    let scene = Scene::ready(1, |skew| {
        skew.set_one_ahead(1, 450);
        skew.set_one_ahead(2, 450);
        skew
    })
    .await;
    with_owner(&scene, "r", "all").await;
    let url = scene.url(0);
    let adding = async { backend(&url, "PUT", "/v1/rooms/r/members/bob", &json!({})).await };
    let losing = async {
        let (operator, path) = (scene.operator(0), "/v1/rooms/r/members?limit=9");
        loop {
            let (_, page) = backend(&scene.url(0), "GET", path, &Value::Null).await;
            if page["members"].as_array().is_some_and(|members| members.len() == 2) {
                break;
            }
        }
        scene.machines[0].set_ahead(5_000_000);
        eventually("it has noticed", || operator.metric(super::KNOWN) == 0).await;
    };
    let ((status, problem), ()) = tokio::join!(adding, losing);
    assert_eq!((status, &problem["code"]), (504, &json!("outcome_unknown")), "{problem}");
    scene.machines[0].set_ahead(0);
    scene.until_ready().await;
    add(&scene.url(0), "r", "bob").await;
    scene.strike().await;
}

/// What a client says that it has seen moves the ids of its node by no more than right clocks may
/// differ: the newest message can be marked as read, and members can be added.
#[tokio::test]
async fn no_client_runs_ahead_with_the_clock_of_ids() {
    let scene = two_nodes(0).await;
    with_owner(&scene, "r", "all").await;
    let mut owner = login(&scene.url(0), &token("owner")).await;
    for ahead in [Duration::from_millis(2400), Duration::from_secs(10), Duration::from_hours(1)] {
        let before = WallClock::system();
        let seen = MessageId::first_of(before + ahead).to_string();
        let ahead_of_time =
            json!({"op": "send", "conversation": "room.r", "body": 1, "seen": seen});
        let sent = owner.ask(ahead_of_time).await.expect("the node answers");
        assert_eq!(sent["op"], "sent", "{sent}");
        let id: MessageId =
            sent["message"]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let moved = id.time().since(WallClock::system());
        assert!(moved <= CLAIMED_MAX + Duration::from_millis(500), "{ahead:?}: {moved:?}");
        let mark =
            json!({"op": "mark_read", "id": 1, "conversation": "room.r", "upto": id.to_string()});
        let marked = owner.ask(mark).await.expect("the node answers");
        assert_eq!(marked["op"], "ok", "{marked}");
        add(&scene.url(1), "r", "bob").await;
    }
    drop(owner);
    scene.strike().await;
}
