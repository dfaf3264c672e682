//! Removed members: what is under way when they are, and changes that end in doubt.

pub mod held;

use std::sync::Arc;

use narrowcast::client::Client;
use narrowcast::domain::{MemberRole, MemberState, Membership, MessageId, RoomId, UserId};
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::{MembershipKey, MembershipsQuery, RoomStore, Store};
use serde_json::{Value, json};

use self::held::Held;
use super::chat::{login, send};
use super::rooms::{add, as_user, frame, remove, room, say};
use crate::harness::{Operator, eventually, token};

/// One node of this process, on a store that lets a test come in between.
pub struct Scene {
    node: Node,
    pub store: Arc<Held>,
    pub url: String,
    _home: tempfile::TempDir,
}

impl Scene {
    pub async fn set() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let plan = ClusterOptions { nodes: 1, unlimited: true, ..ClusterOptions::default() };
        let config = Arc::new(plan.config(1).expect("a configuration"));
        let store = Arc::new(Held::new(open_store(&config, home.path()).expect("a store")));
        let (bus, port) = (memory_bus(&config), Arc::clone(&store) as Arc<dyn Store>);
        let node = Node::start(&NodeOptions {
            config,
            bus,
            store: port,
            machine: narrowcast::clock::MachineClock::default(),
        })
        .expect("it starts");
        eventually("it is ready", || node.readiness().verdict().1.is_empty()).await;
        let url = format!("ws://{}/v1/ws", node.clients());
        Self { node, store, url, _home: home }
    }

    /// Asks for something of which so many answers are held, has Ben removed meanwhile, and lets
    /// them go.
    async fn removed_meanwhile(&self, ben: &mut Client, request: &Value, answers: usize) -> Value {
        self.store.hold();
        ben.send(&request.to_string()).await.expect("it reads");
        eventually("the answers wait", || self.store.waiting() == answers).await;
        remove(&self.url, "r", "ben").await;
        let left = frame(ben).await;
        assert_eq!((&left["op"], &left["conversation"]), (&json!("left"), &json!("room.r")));
        self.store.let_go();
        frame(ben).await
    }

    /// What operators are told.
    pub fn operator(&self) -> Operator {
        Operator::new(&format!("http://{}", self.node.operator()))
    }

    pub async fn strike(self) {
        self.node.stop().await;
        self.store.close().await;
    }
}

/// The conversations of a page of an inbox, and whether it goes on.
fn listed(page: &Value) -> (Vec<&str>, bool) {
    let entries = page["conversations"].as_array().unwrap_or_else(|| panic!("{page}"));
    let names = entries.iter().map(|entry| entry["conversation"].as_str().expect("a name"));
    (names.collect(), !page["next"].is_null())
}

/// A room with history that Ben shares, and a direct conversation that stays his.
async fn talk(scene: &Scene) -> Client {
    room(&scene.url, "r", "all", &["ann", "ben"]).await;
    let mut ann = login(&scene.url, &token("ann")).await;
    send(&mut ann, "ben", json!("hello")).await;
    assert_eq!(say(&mut ann, "r", json!("secret")).await["op"], "sent");
    ann
}

#[tokio::test]
async fn what_a_member_asked_for_is_not_answered_behind_his_left() {
    let scene = Scene::set().await;
    let _ann = talk(&scene).await;
    let mut ben = login(&scene.url, &token("ben")).await;
    let history = json!({"op": "history", "id": 1, "conversation": "room.r"});
    let answer = scene.removed_meanwhile(&mut ben, &history, 1).await;
    let told = (&answer["code"], &answer["detail"], &answer["id"]);
    let as_for_all = json!("no such conversation");
    assert_eq!(told, (&json!("not_found"), &as_for_all, &json!(1)), "{answer}");

    add(&scene.url, "r", "ben").await;
    assert_eq!(frame(&mut ben).await["op"], "joined");
    let inbox = json!({"op": "inbox", "id": 2, "limit": 10});
    let answer = scene.removed_meanwhile(&mut ben, &inbox, 2).await;
    assert_eq!((&answer["id"], listed(&answer)), (&json!(2), (vec!["dm.ann.ben"], false)));
    drop(ben);
    scene.strike().await;
}

/// What waits for a nonce to be looked up is not sent by who is out when it was.
#[tokio::test]
async fn what_a_member_sends_is_not_stored_behind_his_left() {
    let scene = Scene::set().await;
    let mut ann = talk(&scene).await;
    let mut ben = login(&scene.url, &token("ben")).await;
    let send = json!({
        "op": "send", "id": 1, "conversation": "room.r", "body": "late", "nonce": "n",
    });
    let answer = scene.removed_meanwhile(&mut ben, &send, 1).await;
    assert_eq!((&answer["code"], &answer["id"]), (&json!("not_found"), &json!(1)), "{answer}");
    let request = json!({"op": "history", "conversation": "room.r"});
    let page = ann.ask(request).await.expect("the node answers");
    let bodies: Vec<_> = page["messages"].as_array().expect("a list").iter().collect();
    assert_eq!((bodies.len(), &bodies[0]["body"]), (1, &json!("secret")), "{page}");
    drop((ann, ben));
    scene.strike().await;
}

/// The same over HTTP, where his session tells his worker of it.
#[tokio::test]
async fn what_a_member_asked_for_over_http_is_not_answered_once_he_is_out() {
    let scene = Scene::set().await;
    let _ann = talk(&scene).await;
    let bens = token("ben");
    let mut ben = login(&scene.url, &bens).await;
    for (path, answers) in [("/v1/conversations/room.r/messages", 1), ("/v1/users/ben/inbox", 2)] {
        scene.store.hold();
        let asked = as_user(&scene.url, &bens, "GET", path, &Value::Null);
        let removal = async {
            eventually("the answers wait", || scene.store.waiting() == answers).await;
            remove(&scene.url, "r", "ben").await;
            while frame(&mut ben).await["op"] != "left" {}
            scene.store.let_go();
        };
        let ((status, answer), ()) = tokio::join!(asked, removal);
        match status {
            404 => assert_eq!(answer["detail"], "no such conversation", "{path}"),
            _ => assert_eq!(listed(&answer), (vec!["dm.ann.ben"], false), "{path}"),
        }
        assert_eq!(status == 404, answers == 1, "{path}: {answer}");
        add(&scene.url, "r", "ben").await;
        while frame(&mut ben).await["op"] != "joined" {}
    }
    drop(ben);
    scene.strike().await;
}

/// Who joins again while he is read for is not shown what came while he was out.
#[tokio::test]
async fn what_came_while_a_member_was_out_is_not_shown_to_one_who_is_back() {
    let scene = Scene::set().await;
    room(&scene.url, "r", "joined", &["ann", "ben"]).await;
    let mut ann = login(&scene.url, &token("ann")).await;
    assert_eq!(say(&mut ann, "r", json!("before")).await["op"], "sent");
    let mut ben = login(&scene.url, &token("ben")).await;
    for request in [
        json!({"op": "history", "id": 1, "conversation": "room.r"}),
        json!({"op": "inbox", "id": 1, "limit": 10}),
    ] {
        scene.store.hold();
        ben.send(&request.to_string()).await.expect("it reads");
        eventually("the answer waits", || scene.store.waiting() == 1).await;
        remove(&scene.url, "r", "ben").await;
        add(&scene.url, "r", "ben").await;
        while frame(&mut ben).await["op"] != "joined" {}
        scene.store.let_go();
        let answer = frame(&mut ben).await;
        match answer["op"].as_str() {
            Some("history") => assert_eq!(answer["messages"], json!([]), "{answer}"),
            _ => assert_eq!(answer["conversations"][0]["last"], Value::Null, "{answer}"),
        }
    }
    drop((ann, ben));
    scene.strike().await;
}

#[tokio::test]
async fn a_member_whose_leaving_ended_in_doubt_leaves_by_asking_again() {
    let scene = Scene::set().await;
    let mut ann = talk(&scene).await;
    let bens = token("ben");
    let mut ben = login(&scene.url, &bens).await;
    let user = UserId::parse("ben").expect("an id");
    let rooms = MembershipsQuery { user: user.clone(), limit: 9 };
    let of_user = async || scene.store.memberships(rooms.clone()).await.expect("rows").remove(0);
    let key = |room: &RoomId| MembershipKey { room: room.clone(), user: user.clone() };
    let of_room = async |room: &RoomId| scene.store.membership(key(room)).await.expect("a row");
    let path = "/v1/rooms/r/members/ben";
    scene.store.tear();
    let (status, problem) = as_user(&scene.url, &bens, "DELETE", path, &Value::Null).await;
    assert_eq!((status, &problem["code"]), (504, &json!("outcome_unknown")), "{problem}");
    let half = of_user().await;
    let torn = of_room(&half.room).await.expect("a row");
    assert!(half.is_inside() && !torn.is_inside() && torn.stamp() > half.stamp(), "{torn:?}");

    let (status, answer) = as_user(&scene.url, &bens, "DELETE", path, &Value::Null).await;
    assert_eq!(status, 204, "{answer}");
    let whole = of_user().await;
    assert!(!whole.is_inside() && whole.stamp() > torn.stamp(), "{whole:?}");
    assert_eq!(of_room(&half.room).await.as_ref(), Some(&whole), "either side");
    for client in [&mut ben, &mut ann] {
        let left = frame(client).await;
        assert_eq!((&left["op"], &left["user"]), (&json!("left"), &json!("ben")), "{left}");
    }
    // Who never was in it is told nothing, and who is out sees nothing.
    let eves = "/v1/rooms/r/members/eve";
    let (status, _) = as_user(&scene.url, &token("eve"), "DELETE", eves, &Value::Null).await;
    assert_eq!(status, 404);
    assert_eq!(as_user(&scene.url, &bens, "GET", "/v1/rooms/r", &Value::Null).await.0, 404);
    drop((ann, ben));
    scene.strike().await;
}

/// More than a publish is handed to at once.
const CROWD: usize = 560;

/// Those who came last, to whom it is handed last.
const REMOVED: usize = 16;

/// A room that many are in, who came in this order.
async fn crowd(scene: &Scene) -> Vec<Client> {
    room(&scene.url, "r", "all", &[]).await;
    let store = &scene.store;
    let puts: Vec<_> = (0..CROWD).map(|number| store.put_membership(member(number))).collect();
    for put in puts {
        put.await.expect("it is stored");
    }
    let mut clients = Vec::new();
    for number in 0..CROWD {
        clients.push(login(&scene.url, &token(&format!("u{number}"))).await);
    }
    clients
}

fn member(number: usize) -> Membership {
    let stamp = MessageId::new(narrowcast::clock::WallClock::system(), rand::random());
    Membership {
        room: RoomId::parse("r").expect("an id"),
        user: UserId::parse(&format!("u{number}")).expect("an id"),
        state: MemberState::UNKNOWN.add(MemberRole::Member, stamp),
    }
}

/// Heard events of the room until he left it, and nothing behind.
async fn heard_until_he_left(client: &mut Client, user: &str) {
    let mut events = 0;
    loop {
        let frame = frame(client).await;
        match frame["op"].as_str() {
            Some("left") if frame["user"] == user => break,
            Some("signal") => events += 1,
            _ => {}
        }
    }
    assert!(events > 0, "{user} heard them before");
    client.send(&json!({"op": "ping", "id": 1}).to_string()).await.expect("it reads");
    let behind = frame(client).await;
    assert_eq!(behind["op"], "pong", "{user}: {behind}");
}

/// Events to a crowd are handed over in slices, between which members go.
#[tokio::test]
async fn who_leaves_a_crowd_has_none_of_its_events_behind_his_left() {
    let scene = Scene::set().await;
    let mut clients = crowd(&scene).await;
    let leaving = clients.split_off(CROWD - REMOVED);
    let mut typist = clients.swap_remove(0);
    let typing = json!({
        "op": "signal", "id": 1, "conversation": "room.r", "name": "typing", "data": 1,
    });
    let begun = tokio::sync::Notify::new();
    let types = async {
        loop {
            assert_eq!(typist.ask(typing.clone()).await.expect("an answer")["op"], "ok");
            begun.notify_one();
        }
    };
    let removals = async {
        begun.notified().await;
        for number in CROWD - REMOVED..CROWD {
            remove(&scene.url, "r", &format!("u{number}")).await;
        }
    };
    tokio::select! {
        () = types => {}
        () = removals => {}
    }
    for (number, mut client) in (CROWD - REMOVED..).zip(leaving) {
        heard_until_he_left(&mut client, &format!("u{number}")).await;
    }
    drop((clients, typist));
    scene.strike().await;
}
