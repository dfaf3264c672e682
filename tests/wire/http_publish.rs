//! `POST /v1/publish`, from the request to the sessions that hear of it.

use std::time::Duration;

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::http::{ask, bearing, refused, service};
use super::tokens::{granting, token};
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::room;
use crate::harness::PATIENCE;
use crate::harness::untimed;

const PATH: &str = "/v1/publish";

fn publish(token: &str, events: &Value) -> String {
    bearing(token, "POST", PATH, &json!({ "events": events }).to_string())
}

/// A publish of something that everybody in these tests hears, so that what came before it is
/// known to have come.
fn marker(n: usize) -> Value {
    json!({"subject": "topic.marker", "data": n})
}

async fn listening(node: &str, user: &str) -> Client {
    let mut client = Client::login(node, &token(user)).await.expect("let in");
    let subscribe = json!({"op": "subscribe", "patterns": ["topic.marker", "topic.a.*"]});
    assert_eq!(client.ask(subscribe).await.expect("an answer")["op"], "ok");
    client
}

/// The next event or signal, without its `op` and its time.
async fn heard(client: &mut Client) -> Value {
    let mut event = untimed(client.next_within(PATIENCE).await.expect("an event"));
    let op = event.as_object_mut().expect("an object").remove("op");
    let expected = if event.get("name").is_some() { "signal" } else { "event" };
    assert_eq!(op, Some(json!(expected)));
    event
}

#[tokio::test]
async fn events_reach_sessions_on_every_worker() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut clients = Vec::new();
        for user in ["alice", "bob", "carol", "dave"] {
            clients.push(listening(node, user).await);
        }
        let events = json!([
            {"subject": "topic.a.x", "data": {"n": [1, "ü"]}},
            {"subject": "topic.b", "data": "nobody"},
            {"conversation": "user.bob", "name": "typing", "data": null},
            marker(1),
        ]);
        let answer = ask(node, &publish(&token("alice"), &events)).await;
        assert_eq!((answer.status, &*answer.body), (202, r#"{"published":4}"#));
        let topic = json!({"subject": "topic.a.x", "data": {"n": [1, "ü"]}});
        let typing = json!({"conversation": "dm.alice.bob", "name": "typing", "from": "alice", "data": null});
        for (client, in_dm) in clients.iter_mut().zip([true, true, false, false]) {
            let mut events = vec![heard(client).await, heard(client).await];
            if in_dm {
                events.push(heard(client).await);
            }
            assert!(events.contains(&topic) && events.contains(&marker(1)), "{events:?}");
            assert_eq!(events.contains(&typing), in_dm, "{events:?}");
        }
    }
}

#[tokio::test]
async fn a_service_publishes_for_anybody() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        room(node, "any", "all", &["alice", "bob"]).await;
        let mut bob = listening(node, "bob").await;
        let events = json!([
            {"subject": "user.bob.order", "data": 7},
            {"conversation": "user.bob", "name": "typing", "from": "alice", "data": {}},
            {"conversation": "room.any", "name": "typing", "from": "alice", "data": {}},
        ]);
        let answer = ask(node, &publish(&service(), &events)).await;
        assert_eq!((answer.status, &*answer.body), (202, r#"{"published":3}"#));
        let subject = json!({"subject": "user.bob.order", "data": 7});
        let typing =
            json!({"conversation": "dm.alice.bob", "name": "typing", "from": "alice", "data": {}});
        let in_room =
            json!({"conversation": "room.any", "name": "typing", "from": "alice", "data": {}});
        let got = [heard(&mut bob).await, heard(&mut bob).await, heard(&mut bob).await];
        assert!([subject, typing, in_room].iter().all(|event| got.contains(event)), "{got:?}");
    }
}

/// What one event is refused for keeps all of them back.
#[tokio::test]
async fn all_or_nothing() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut bob = listening(node, "bob").await;
        let (user, service) = (granting("alice", &["topic.a.>", "topic.marker"], &[]), service());
        let typing = |more: Value| {
            let mut event = json!({"conversation": "user.bob", "name": "typing", "data": 1});
            event.as_object_mut().expect("it").extend(more.as_object().expect("it").clone());
            event
        };
        let table = [
            (&user, json!({"subject": "topic.b", "data": 1}), 403, "forbidden", "not granted"),
            (&user, json!({"subject": "user.bob.x", "data": 1}), 403, "forbidden", "not granted"),
            (&user, typing(json!({"name": "nc.left"})), 403, "forbidden", "`nc.`"),
            (&user, typing(json!({"name": "NC.left"})), 403, "forbidden", "`nc.`"),
            (&user, typing(json!({"name": " nc.left"})), 400, "bad_request", "U+0020 at byte 0"),
            (
                &user,
                typing(json!({"name": "n\u{200b}c.left"})),
                400,
                "bad_request",
                "U+200B at byte 1",
            ),
            (
                &user,
                typing(json!({"from": "bob"})),
                403,
                "forbidden",
                "`from` must be absent or `alice`",
            ),
            (
                &user,
                typing(json!({"conversation": "dm.bob.carol"})),
                404,
                "not_found",
                "no such conversation",
            ),
            (
                &user,
                typing(json!({"conversation": "room.x"})),
                404,
                "not_found",
                "no such conversation",
            ),
            (&service, typing(json!({})), 400, "bad_request", "`from` is missing"),
            (&service, typing(json!({"from": "a%b"})), 400, "bad_request", "`from`: `%` at byte 1"),
            (&service, typing(json!({"from": "bob", "name": "nc.x"})), 403, "forbidden", "`nc.`"),
            (
                &user,
                json!({"subject": "topic", "data": 1}),
                400,
                "bad_request",
                "`subject`: 1 tokens",
            ),
            (
                &service,
                typing(json!({"from": "carol", "conversation": "dm.alice.bob"})),
                403,
                "forbidden",
                "`from`: `carol` is not a member of `dm.alice.bob`",
            ),
            (&user, json!({"data": 1}), 400, "bad_request", "`subject` is missing"),
            (&user, json!({"subject": "topic.a.b"}), 400, "bad_request", "`data` is missing"),
            (
                &user,
                json!({"subject": "topic.a.b", "data": 1, "x": 1}),
                400,
                "bad_request",
                "`x` is not",
            ),
            (
                &user,
                json!({"subject": "topic.a.b", "data": "d".repeat(8192)}),
                413,
                "too_large",
                "8194 bytes, at most 8192",
            ),
            (&user, json!("topic.a.b"), 400, "bad_request", "expected an object"),
        ];
        let refusals = table.len() as u64;
        for (token, event, status, code, part) in table {
            let request = publish(token, &json!([marker(0), event]));
            let answer = refused(node, &request, status, code, part).await;
            assert!(answer.body.contains("`events[1]`"), "it names the place: {answer:?}");
        }
        assert_eq!(ask(node, &publish(&user, &json!([marker(1)]))).await.status, 202);
        let counted = |class: &str| {
            let name = format!("narrowcast_http_answers_total{{class=\"{class}\"}}");
            demo.nodes[0].operator.metric(&name)
        };
        assert_eq!((counted("2xx"), counted("4xx"), counted("5xx")), (1, refusals, 0));
        assert_eq!(heard(&mut bob).await, marker(1), "nothing came before");
    }
}

#[tokio::test]
async fn a_hundred_events_and_no_more() {
    let demo = node_with("3", &[]);
    let node = url(&demo);
    let mut bob = listening(node, "bob").await;
    let many = |count: usize| Value::from((0..count).map(marker).collect::<Vec<_>>());
    let token = token("alice");
    for (count, part) in [(0, "not 0"), (101, "not 101")] {
        let part = format!("`events` must be 1 to 100, {part}");
        refused(node, &publish(&token, &many(count)), 400, "bad_request", &part).await;
    }
    assert_eq!(ask(node, &publish(&token, &many(100))).await.body, r#"{"published":100}"#);
    for n in 0..100 {
        assert_eq!(heard(&mut bob).await, marker(n), "in their order");
    }
}

/// Ten events at once, and one each 250 ms.
const TEN: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__EVENT_BURST", "10"), ("RATES__EVENTS_PER_S", "4")];

/// Were a part of a refused list charged, whoever tries again as he is told would never get in.
#[tokio::test]
async fn a_list_is_charged_whole_or_not_at_all() {
    for workers in WORKERS {
        let demo = node_with(workers, &TEN);
        let node = url(&demo);
        let alice = token("alice");
        let list = |count: usize| Value::from((0..count).map(marker).collect::<Vec<_>>());
        let mut forbidden = list(10);
        forbidden[9] = json!({"subject": "user.bob.x", "data": 1});
        for _ in 0..3 {
            let request = publish(&alice, &forbidden);
            refused(node, &request, 403, "forbidden", "`events[9]`").await;
        }
        let bound = "11 `events`: events: 4 a second and 10 at once are allowed";
        refused(node, &publish(&alice, &list(11)), 413, "too_large", bound).await;
        let all = publish(&alice, &list(10));
        assert_eq!(ask(node, &all).await.status, 202, "none of those was charged");
        let part = "10 `events`: events: 4 a second and 10 at once are allowed; again in";
        let mut wait = 0;
        for _ in 0..3 {
            let answer = refused(node, &all, 429, "rate_limited", part).await;
            wait = answer.header("retry-after").expect("it says when").parse().expect("seconds");
        }
        assert!((1..=3).contains(&wait), "{wait} s for ten events");
        tokio::time::sleep(Duration::from_secs(wait)).await;
        assert_eq!(ask(node, &all).await.status, 202, "who waits is let in");
    }
}

/// A room is a read of the store, whatever becomes of the list.
#[tokio::test]
async fn rooms_of_a_list_are_reads() {
    let keys =
        [("RATES__LIMIT_USERS", "true"), ("RATES__READ_BURST", "3"), ("RATES__READS_PER_S", "1")];
    let demo = node_with("3", &keys);
    let node = url(&demo);
    room(node, "mine", "all", &["alice"]).await;
    let typing = |id: &str| json!({"conversation": id, "name": "typing", "data": 1});
    let alice = token("alice");
    let one = json!([typing("room.mine"), typing("room.mine"), typing("user.bob")]);
    assert_eq!(ask(node, &publish(&alice, &one)).await.status, 202, "one read");
    let other = publish(&alice, &json!([typing("room.mine"), typing("room.other")]));
    refused(node, &other, 404, "not_found", "`events[1]`: no such conversation").await;
    refused(node, &other, 429, "rate_limited", "2 conversations: reads: 1 a second and 3 at once")
        .await;
    let direct = publish(&alice, &json!([typing("user.bob")]));
    assert_eq!(ask(node, &direct).await.status, 202, "nothing is read for it");
}
