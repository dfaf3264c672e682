//! What rooms carry over HTTP and in frames: title, data, and who is in which.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::{backend, frame, room};

#[tokio::test]
async fn data_is_set_like_the_title_and_comes_everywhere() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        room(node, "r", "all", &["alice"]).await;
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        let data = json!({"icon": "🏠", "n": [1, null]});
        let (status, made) = backend(node, "PUT", "/v1/rooms/r", &json!({ "data": data })).await;
        assert_eq!((status, &made["title"], &made["data"]), (200, &"Room".into(), &data), "{made}");
        assert_eq!((&made["conversation"], &made["kind"]), (&"room.r".into(), &"room".into()));
        let changed = frame(&mut alice).await;
        assert_eq!(
            (&changed["op"], &changed["conversation"]),
            (&"room_changed".into(), &"room.r".into())
        );
        assert_eq!((&changed["title"], &changed["data"]), (&"Room".into(), &data), "{changed}");
        // The same again changes nothing, and a new title leaves the data.
        backend(node, "PUT", "/v1/rooms/r", &json!({ "data": data })).await;
        let (_, renamed) = backend(node, "PUT", "/v1/rooms/r", &json!({"title": "Hall"})).await;
        assert_eq!((&renamed["title"], &renamed["data"]), (&"Hall".into(), &data));
        let changed = frame(&mut alice).await;
        assert_eq!((&changed["title"], &changed["data"]), (&"Hall".into(), &data), "{changed}");
        let (_, read) = backend(node, "GET", "/v1/rooms/r", &Value::Null).await;
        assert_eq!(read, renamed);
        let inbox = alice.ask(json!({"op": "inbox"})).await.unwrap();
        assert_eq!(inbox["conversations"][0]["data"], data, "{inbox}");
    }
}

#[tokio::test]
async fn an_empty_text_removes_title_and_data() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let path = "/v1/rooms/r";
    room(node, "r", "all", &["alice"]).await;
    backend(node, "PUT", path, &json!({"data": {"icon": "🏠"}})).await;
    let mut alice = Client::login(node, &token("alice")).await.unwrap();
    for (wish, has_data) in [(json!({"title": ""}), true), (json!({"data": ""}), false)] {
        let (status, left) = backend(node, "PUT", path, &wish).await;
        let has = |name: &str| left.get(name).is_some();
        assert_eq!((status, has("title"), has("data")), (200, false, has_data), "{wish}: {left}");
        let changed = frame(&mut alice).await;
        assert_eq!(changed["op"], "room_changed", "{changed}");
        assert_eq!(changed.get("title"), None, "{changed}");
        assert_eq!(changed.get("data").is_some(), has_data, "{changed}");
        assert_eq!(
            backend(node, "PUT", path, &wish).await.1,
            left,
            "the same again changes nothing"
        );
        assert_eq!(backend(node, "GET", path, &Value::Null).await.1, left);
    }
    let inbox = alice.ask(json!({"op": "inbox"})).await.unwrap();
    let entry = &inbox["conversations"][0];
    assert_eq!((entry.get("title"), entry.get("data")), (None, None), "{inbox}");
    let (_, made) = backend(node, "PUT", "/v1/rooms/s", &json!({"title": "", "data": ""})).await;
    assert_eq!((made.get("title"), made.get("data")), (None, None), "{made}");
}

/// A change that names no role is no change of it.
#[tokio::test]
async fn a_member_keeps_the_role_that_is_held() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        room(node, "r", "all", &[]).await;
        let (path, of_alice) = ("/v1/rooms/r/members", "/v1/rooms/r/members/alice");
        let role = async |method: &str, path: &str, body: Value| {
            let (status, answer) = backend(node, method, path, &body).await;
            assert_eq!(status, 200, "{answer}");
            answer.get("members").map_or(&answer, |members| &members[0])["role"].clone()
        };
        let listed = json!({"members": [{"user": "alice"}]});
        assert_eq!(role("PUT", of_alice, json!({"role": "owner"})).await, "owner");
        assert_eq!(role("PUT", of_alice, json!({})).await, "owner");
        assert_eq!(role("PUT", path, listed.clone()).await, "owner");
        assert_eq!(role("GET", path, Value::Null).await, "owner");
        assert_eq!(role("PUT", of_alice, json!({"role": "member"})).await, "member");
        assert_eq!(role("PUT", of_alice, json!({"role": "owner"})).await, "owner");
        assert_eq!(backend(node, "DELETE", of_alice, &Value::Null).await.0, 204);
        assert_eq!(role("PUT", path, listed).await, "member", "one who comes back is new");
    }
}

#[tokio::test]
async fn what_is_set_at_making_is_refused_later_unless_it_is_so() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let wish = json!({"history_visibility": "joined", "owner": "alice"});
    for status in [201, 200] {
        assert_eq!(backend(node, "PUT", "/v1/rooms/r", &wish).await.0, status);
    }
    let table = [
        (json!({"history_visibility": "all"}), "`history_visibility` is set when"),
        (json!({"owner": "bob"}), "`owner` is set when a room is created, and `bob` does not own"),
    ];
    for (wish, part) in table {
        let (status, problem) = backend(node, "PUT", "/v1/rooms/r", &wish).await;
        assert_eq!((status, &problem["code"]), (400, &"bad_request".into()), "{problem}");
        assert!(problem["detail"].as_str().expect("a text").starts_with(part), "{problem}");
    }
}

#[tokio::test]
async fn a_users_rooms_come_in_pages() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        for id in ["a", "b.c", "d", "e"] {
            let (status, _) =
                backend(node, "PUT", &format!("/v1/rooms/{id}"), &json!({"owner": "alice"})).await;
            assert_eq!(status, 201);
        }
        backend(node, "DELETE", "/v1/rooms/d/members/alice", &Value::Null).await;
        let alice = token("alice");
        let (mut found, mut page) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/users/me/rooms?limit=2{page}");
            let answer = ask(node, &bearing(&alice, "GET", &path, "")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let document: Value = serde_json::from_str(&answer.body).expect("JSON");
            for room in document["rooms"].as_array().expect("a list") {
                assert_eq!(
                    (&room["role"], &room["kind"]),
                    (&"owner".into(), &"room".into()),
                    "{room}"
                );
                assert!(room["joined_at"].is_u64(), "{room}");
                found.push(room["id"].as_str().expect("an id").to_owned());
            }
            let Some(next) = document["next"].as_str() else { break };
            page = format!("&page={}", next.replace('%', "%25"));
        }
        assert_eq!(found, ["a", "b%2Ec", "e"]);
        let (status, of_bob) = backend(node, "GET", "/v1/users/bob/rooms", &Value::Null).await;
        assert_eq!((status, of_bob), (200, json!({"rooms": []})));
    }
}
