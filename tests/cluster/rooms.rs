//! Rooms on several nodes: who hears what from when to when.

use std::time::Duration;

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::{PATIENT, login, next};
use super::stage::{probes, published};
use crate::harness::{Demo, RedisServer, eventually, token};
use crate::wire::http::{ask, bearing, service};

const RECEIVED: &str = "narrowcast_bus_received_total";

/// Until a pull round has read what the bus lost: a canary is late after 3 s and sent every 2, and the
/// rounds begin every 10 s.
const PULLED: Duration = Duration::from_secs(40);

/// Asks over HTTP as a backend: the status and the document.
pub async fn backend(url: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    as_user(url, &service(), method, path, body).await
}

pub async fn as_user(
    url: &str,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(url, &bearing(token, method, path, &text)).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

/// A room with these members.
pub async fn room(url: &str, id: &str, history: &str, members: &[&str]) {
    let wish = json!({"title": "Room", "history_visibility": history});
    let (status, made) = backend(url, "PUT", &format!("/v1/rooms/{id}"), &wish).await;
    assert_eq!((status, &made["history_visibility"]), (201, &json!(history)), "{made}");
    for member in members {
        add(url, id, member).await;
    }
}

pub async fn add(url: &str, id: &str, user: &str) {
    let path = format!("/v1/rooms/{id}/members/{user}");
    let (status, member) = backend(url, "PUT", &path, &json!({})).await;
    assert_eq!((status, &member["user"]), (200, &json!(user)), "{member}");
}

pub async fn remove(url: &str, id: &str, user: &str) {
    let path = format!("/v1/rooms/{id}/members/{user}");
    let (status, answer) = backend(url, "DELETE", &path, &Value::Null).await;
    assert_eq!(status, 204, "{answer}");
}

pub async fn say(client: &mut Client, id: &str, body: Value) -> Value {
    let request = json!({"op": "send", "conversation": format!("room.{id}"), "body": body});
    client.ask(request).await.expect("the node answers")
}

/// The next frame but cursors.
pub async fn frame(client: &mut Client) -> Value {
    loop {
        let frame = next(client).await;
        if frame["op"] != "cursor" {
            return frame;
        }
    }
}

/// The bodies of a room's messages until `last`, other frames aside.
async fn bodies_until(client: &mut Client, last: &str) -> Vec<Value> {
    let mut bodies: Vec<Value> = Vec::new();
    while bodies.last() != Some(&json!(last)) {
        let frame = frame(client).await;
        if frame["op"] == "message" {
            bodies.push(frame["message"]["body"].clone());
        }
    }
    bodies
}

async fn members_hear_each_other(workers: &str) {
    let demo = Demo::start(3, &[], &[("WORKERS", workers)]);
    let url = |node: usize| demo.nodes[node].url.as_str();
    room(url(0), "r1", "all", &["ann", "ben"]).await;
    let mut ann = login(url(0), &token("ann")).await;
    let mut ben = login(url(1), &token("ben")).await;
    let mut cat = login(url(2), &token("cat")).await;
    let mut dan = login(url(2), &token("dan")).await;
    let refused = say(&mut cat, "r1", json!("let me in")).await;
    assert_eq!(refused["code"], "not_found", "{refused}");
    assert_eq!(say(&mut ann, "r1", json!("two")).await["op"], "sent");
    assert_eq!(frame(&mut ben).await["message"]["body"], "two");
    // Cat is added while she has a session, by way of another node.
    add(url(0), "r1", "cat").await;
    for client in [&mut cat, &mut ben, &mut ann] {
        let joined = frame(client).await;
        assert_eq!((&joined["op"], &joined["user"]), (&json!("joined"), &json!("cat")), "{joined}");
        assert_eq!(joined["conversation"], "room.r1");
    }
    assert_eq!(say(&mut ben, "r1", json!("three")).await["op"], "sent");
    for client in [&mut ann, &mut cat] {
        let message = frame(client).await;
        assert_eq!(message["message"]["body"], "three", "{message}");
        assert_eq!(message["message"]["conversation"], "room.r1");
    }
    let typing = json!({"op": "signal", "conversation": "room.r1", "name": "typing", "data": 1});
    assert_eq!(cat.ask(typing).await.expect("an answer")["op"], "ok");
    for client in [&mut ann, &mut ben] {
        let event = frame(client).await;
        assert_eq!((&event["name"], &event["from"]), (&json!("typing"), &json!("cat")), "{event}");
    }
    // Who is no member heard nothing of all this.
    assert_eq!(dan.ask(json!({"op": "ping"})).await.expect("an answer")["op"], "pong");
}

#[tokio::test]
async fn members_hear_each_other_with_one_worker() {
    members_hear_each_other("1").await;
}

#[tokio::test]
async fn members_hear_each_other_with_three_workers() {
    members_hear_each_other("3").await;
}

/// Comes back with a cursor: the client, and the bodies before its next cursor.
async fn back(url: &str, token: &str, cursor: &Value) -> (Client, Vec<Value>, Value) {
    let mut client = Client::connect(url).await.expect("the node is there");
    let hello = json!({"op": "hello", "token": token, "cursor": cursor});
    client.send(&hello.to_string()).await.expect("it reads");
    let mut missed = Vec::new();
    loop {
        let frame = next(&mut client).await;
        match frame["op"].as_str() {
            Some("ready" | "joined" | "left") => {}
            Some("message") => missed.push(frame["message"]["body"].clone()),
            Some("cursor") => return (client, missed, frame),
            _ => panic!("{frame}"),
        }
    }
}

async fn first_cursor(url: &str, token: &str) -> Value {
    let mut client = Client::connect(url).await.expect("the node is there");
    client.send(&json!({"op": "hello", "token": token}).to_string()).await.expect("it reads");
    loop {
        let frame = next(&mut client).await;
        if frame["op"] == "cursor" {
            return frame["cursor"].clone();
        }
    }
}

#[tokio::test]
async fn what_was_missed_in_rooms_comes_back_but_nothing_from_before_he_joined() {
    let demo = Demo::start(2, &[], &[]);
    let [here, there] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    let bens = token("ben");
    let cursor = first_cursor(there, &bens).await;
    room(here, "r", "all", &["ann"]).await;
    let mut ann = login(here, &token("ann")).await;
    assert_eq!(say(&mut ann, "r", json!("before")).await["op"], "sent");
    add(here, "r", "ben").await;
    for body in ["one", "two"] {
        assert_eq!(say(&mut ann, "r", json!(body)).await["op"], "sent");
    }
    for url in [here, there] {
        let (_, missed, told) = back(url, &bens, &cursor).await;
        assert_eq!(missed, ["one", "two"], "on {url}");
        assert_eq!((&told["resumed"], &told["gaps"]), (&json!(true), &json!([])), "{told}");
    }
    let (mut ben, ..) = back(there, &bens, &cursor).await;
    // `history: all` shows what came before, on demand.
    let page = json!({"op": "history", "conversation": "room.r", "limit": 10});
    let page = ben.ask(page).await.expect("an answer");
    let shown: Vec<&Value> =
        page["messages"].as_array().expect("a list").iter().map(|it| &it["body"]).collect();
    assert_eq!(shown, ["two", "one", "before"]);
}

#[tokio::test]
async fn a_removed_member_receives_nothing_and_comes_back_by_nothing() {
    let demo = Demo::start(2, &[], &[]);
    let [here, there] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    room(here, "r", "joined", &["ann", "ben"]).await;
    let bens = token("ben");
    let (mut ann, cursor) = (login(here, &token("ann")).await, first_cursor(there, &bens).await);
    let mut ben = login(there, &bens).await;
    assert_eq!(say(&mut ann, "r", json!("one")).await["op"], "sent");
    assert_eq!(frame(&mut ben).await["message"]["body"], "one");
    remove(here, "r", "ben").await;
    for client in [&mut ben, &mut ann] {
        let left = frame(client).await;
        assert_eq!((&left["op"], &left["user"]), (&json!("left"), &json!("ben")), "{left}");
    }
    assert_eq!(say(&mut ann, "r", json!("secret")).await["op"], "sent");
    let asked = [
        json!({"op": "send", "conversation": "room.r", "body": 1}),
        json!({"op": "history", "conversation": "room.r"}),
        json!({"op": "mark_read", "conversation": "room.r", "upto": "01a20bb7-7312-71f7-8000-000000000005"}),
        json!({"op": "signal", "conversation": "room.r", "name": "typing", "data": 1}),
    ];
    for request in asked {
        let answer = ben.ask(request.clone()).await.expect("an answer");
        assert_eq!(answer["code"], "not_found", "{request}: {answer}");
    }
    for url in [here, there] {
        let (_, missed, told) = back(url, &bens, &cursor).await;
        assert_eq!((missed, &told["resumed"]), (vec![], &json!(true)), "on {url}: {told}");
    }
    // Added again he has what comes from then on, and history begins there.
    add(here, "r", "ben").await;
    assert_eq!(say(&mut ann, "r", json!("again")).await["op"], "sent");
    assert_eq!(bodies_until(&mut ben, "again").await, ["again"]);
    let page = json!({"op": "history", "conversation": "room.r"});
    let page = ben.ask(page).await.expect("an answer");
    let messages = page["messages"].as_array().expect("a list");
    assert_eq!((messages.len(), &messages[0]["body"]), (1, &json!("again")), "{page}");
    let (_, missed, _) = back(here, &bens, &cursor).await;
    assert_eq!(missed, ["again"]);
}

#[tokio::test]
async fn owners_and_members_may_do_what_their_roles_say() {
    let demo = Demo::start(1, &[], &[("POLICY__CREATE", "anyone")]);
    let url = demo.nodes[0].url.as_str();
    let [ann, ben, eve] = ["ann", "ben", "eve"].map(token);
    let (status, made) = as_user(url, &ann, "POST", "/v1/rooms", &json!({"title": "Club"})).await;
    assert_eq!((status, &made["creator"]), (201, &json!("ann")), "{made}");
    let id = made["id"].as_str().expect("an id");
    let path = &*format!("/v1/rooms/{id}");
    let put = async |token: &str, body: Value| as_user(url, token, "PUT", path, &body).await;
    let of = |user: &str| format!("{path}/members/{user}");
    assert_eq!(as_user(url, &ann, "PUT", &of("ben"), &json!({})).await.0, 200);
    // What is not there and what is not hers get the same answer.
    for (method, path, body) in [
        ("GET", path.to_owned(), Value::Null),
        ("GET", format!("{path}/members"), Value::Null),
        ("PUT", of("eve"), json!({})),
        ("DELETE", of("ben"), Value::Null),
        ("GET", "/v1/rooms/nothing".to_owned(), Value::Null),
    ] {
        let answer = as_user(url, &eve, method, &path, &body).await;
        assert_eq!(
            (answer.0, &answer.1["detail"]),
            (404, &json!("no such conversation")),
            "{path}"
        );
    }
    for path in [path, "/v1/rooms/nothing", "/v1/rooms/club"] {
        let (status, answer) = as_user(url, &eve, "PUT", path, &json!({"title": "Mine"})).await;
        assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{path}");
        let detail = answer["detail"].as_str().expect("a text");
        assert!(detail.starts_with("no such room is the user's"), "{path}: {detail}");
    }
    for (method, path, body, what) in [
        ("PUT", path.to_owned(), json!({"title": "Ben's"}), "change a room"),
        ("PUT", of("eve"), json!({}), "add members or change roles"),
        ("PUT", of("ben"), json!({"role": "owner"}), "add members or change roles"),
        ("PUT", of(""), json!({"members": [{"user": "eve"}]}), "add members or change roles"),
        ("DELETE", of("ann"), Value::Null, "remove others"),
        ("DELETE", of("nobody"), Value::Null, "remove others"),
    ] {
        let path = path.trim_end_matches('/');
        let (status, answer) = as_user(url, &ben, method, path, &body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{path}: {answer}");
        assert_eq!(answer["detail"], format!("only an owner may {what}"), "{path}");
    }
    let (_, members) = as_user(url, &ben, "GET", &format!("{path}/members"), &Value::Null).await;
    let roles: Vec<_> = members["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| {
            (it["user"].as_str().unwrap_or_default(), it["role"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(roles, [("ann", "owner"), ("ben", "member")]);
    let mut session = login(url, &ben).await;
    assert_eq!(put(&ann, json!({"title": "Our club"})).await.0, 200);
    let renamed = frame(&mut session).await;
    let expected = json!({
        "op": "room_changed", "conversation": format!("room.{id}"), "title": "Our club",
        "by": "ann", "at": renamed["at"],
    });
    assert_eq!(renamed, expected);
    assert_eq!(put(&ann, json!({"history_visibility": "joined"})).await.0, 400, "it never changes");
    assert_eq!(as_user(url, &ben, "DELETE", &of("ben"), &Value::Null).await.0, 204, "himself");
    assert_eq!(frame(&mut session).await["op"], "left");
    assert_eq!(as_user(url, &ben, "GET", path, &Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_backend_sends_reads_and_lists_for_users_without_sessions() {
    let demo = Demo::start(2, &[], &[("WORKERS", "2")]);
    let [here, there] = [0, 1].map(|node: usize| demo.nodes[node].url.as_str());
    room(here, "r", "all", &["ann", "ben"]).await;
    let mut ben = login(there, &token("ben")).await;
    let order = |from: &str| json!({"from": from, "conversation": "room.r", "body": "paid"});
    let (status, sent) = backend(here, "POST", "/v1/messages", &order("ann")).await;
    assert_eq!((status, &sent["message"]["from"]), (201, &json!("ann")), "{sent}");
    let heard = frame(&mut ben).await;
    assert_eq!(heard["message"]["id"], sent["message"]["id"]);
    let (status, refused) = backend(here, "POST", "/v1/messages", &order("eve")).await;
    assert_eq!((status, &refused["code"]), (403, &json!("forbidden")), "{refused}");
    let path = "/v1/conversations/room.r/messages";
    let (_, page) = backend(there, "GET", path, &Value::Null).await;
    assert_eq!(page["messages"][0]["id"], sent["message"]["id"], "{page}");
    let (_, inbox) = backend(there, "GET", "/v1/users/ben/inbox", &Value::Null).await;
    let entry = &inbox["conversations"][0];
    assert_eq!((&entry["conversation"], &entry["title"]), (&json!("room.r"), &json!("Room")));
    assert_eq!(entry["last"]["body"], "paid", "{inbox}");
}

const MESSAGES: u64 = 100;

/// B, C and D of one room on three nodes, E of another on a fourth: what a message to the room
/// costs, counted at each node and at Redis.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_rooms_message_is_one_publish_and_reaches_its_members_nodes_alone() {
    let redis = [RedisServer::start(&[])];
    let demo = Demo::start(4, &[&redis[0].url()], &PATIENT);
    let url = |node: usize| demo.nodes[node].url.as_str();
    room(url(0), "seed", "all", &["ben", "cat", "dan"]).await;
    room(url(0), "other", "all", &["eve"]).await;
    let mut clients = Vec::new();
    for (node, user) in ["ben", "cat", "dan", "eve"].iter().enumerate() {
        clients.push(login(url(node), &token(user)).await);
    }
    let received =
        || -> Vec<u64> { demo.nodes.iter().map(|node| node.operator.metric(RECEIVED)).collect() };
    let probes = || demo.nodes.iter().map(|node| probes(&node.operator)).sum();
    let mut before = None;
    eventually("nothing is under way", || {
        before = published(&redis, probes);
        before.is_some()
    })
    .await;
    let [ben, cat, dan, eve] = &mut clients[..] else { panic!("four clients") };
    assert_eq!(received(), [0; 4], "changes of membership are no node events");
    for number in 0..MESSAGES {
        assert_eq!(say(ben, "seed", json!(number)).await["op"], "sent");
    }
    for client in [cat, dan] {
        for number in 0..MESSAGES {
            assert_eq!(frame(client).await["message"]["body"], number);
        }
    }
    // Ben's own echo, and one push on each node that holds a member.
    let expected = [MESSAGES, MESSAGES, MESSAGES, 0];
    eventually("each node has what it must", || received() == expected).await;
    let total = before.map(|before| before + MESSAGES);
    eventually("one publish a message", || published(&redis, probes) == total).await;
    // Eve's node has nothing that it should not: what she says goes the same way.
    assert_eq!(say(eve, "other", json!("alone")).await["op"], "sent");
    eventually("Eve's own echo", || received() == [MESSAGES, MESSAGES, MESSAGES, 1]).await;
}

/// A member whose node lost its subscriber connection while he was added or removed learns of it
/// by the repair.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_change_that_the_bus_lost_is_found_by_the_repair() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &PATIENT);
    let url = |node: usize| demo.nodes[node].url.as_str();
    room(url(0), "r", "all", &["ann", "ben"]).await;
    let mut ben = login(url(1), &token("ben")).await;
    let mut cat = login(url(1), &token("cat")).await;
    let mut ann = login(url(0), &token("ann")).await;
    assert_eq!(say(&mut ann, "r", json!("one")).await["op"], "sent");
    assert_eq!(frame(&mut ben).await["message"]["body"], "one");
    redis.process().signal("STOP");
    // Stored and acknowledged, while nobody can be told.
    remove(url(0), "r", "ben").await;
    add(url(0), "r", "cat").await;
    assert_eq!(say(&mut ann, "r", json!("two")).await["op"], "sent");
    let mut heard = Vec::new();
    while heard.last() != Some(&json!("two")) {
        let frame = cat.next_within(PULLED).await.expect("it comes by a pull round");
        if frame["op"] == "cursor" {
            continue;
        }
        heard.push(match frame["op"].as_str() {
            Some("message") => frame["message"]["body"].clone(),
            _ => frame["op"].clone(),
        });
    }
    assert_eq!(heard, ["joined", "two"], "by a pull round, with Redis standing still");
    assert_eq!(frame(&mut ben).await["op"], "left");
    redis.process().signal("CONT");
    let refused = say(&mut ben, "r", json!("still here?")).await;
    assert_eq!(refused["code"], "not_found", "{refused}");
}
