//! What a user who asks for too much is told, on a node that counts by itself.

use std::time::{Duration, Instant};

use narrowcast::client::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::http::{ask, bearing, problem, service};
use super::raw::Answer;
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::{backend, room};

/// Three at once of each kind, and then one each 500 ms; reads one each 250 ms.
const FEW: [(&str, &str); 8] = [
    ("RATES__LIMIT_USERS", "true"),
    ("RATES__SEND_BURST", "3"),
    ("RATES__SENDS_PER_S", "2"),
    ("RATES__EVENT_BURST", "3"),
    ("RATES__EVENTS_PER_S", "2"),
    ("RATES__READ_BURST", "3"),
    ("RATES__READS_PER_S", "4"),
    ("POLICY__CREATE", "anyone"),
];

/// More than any burst here and what comes back while they are asked.
const TRIES: usize = 60;

/// Asks until it is refused under this policy: how often it was answered, and the wait.
async fn until_refused(client: &mut Client, request: &Value, policy: &str) -> (usize, Duration) {
    for taken in 0..TRIES {
        let answer = client.ask(request.clone()).await.unwrap();
        if answer["code"] == "rate_limited" {
            assert_eq!(answer["retry"], "later");
            let told = answer["detail"].as_str().unwrap();
            assert!(told.contains(&format!("{policy}: ")), "{told}");
            let wait = answer["retry_after_ms"].as_u64().expect("a time to wait");
            return (taken, Duration::from_millis(wait));
        }
        assert_ne!(answer["op"], "error", "{answer}");
    }
    panic!("{TRIES} times {request} and never refused")
}

/// Each op of a session waits for its user's rate, and another user's does not.
#[tokio::test]
async fn every_op_that_costs_comes_at_the_rate() {
    let upto = "00000000-0000-7000-8000-000000000000";
    let ops = [
        (1000, json!({"op": "send", "conversation": "user.bob", "body": 1})),
        (1000, json!({"op": "publish", "subject": "topic.x", "data": 1})),
        (1000, json!({"op": "mark_read", "conversation": "user.bob", "upto": upto})),
        // The `hello` was a read.
        (750, json!({"op": "history", "conversation": "user.bob"})),
    ];
    for workers in WORKERS {
        let demo = node_with(workers, &FEW);
        for (number, (least, request)) in ops.iter().enumerate() {
            let user = token(&format!("alice-{number}"));
            let mut alice = Client::login(url(&demo), &user).await.unwrap();
            let begun = Instant::now();
            for _ in 0..5 {
                let answer = alice.ask(request.clone()).await.unwrap();
                assert_ne!(answer["op"], "error", "{answer}");
            }
            let took = begun.elapsed().as_millis();
            assert!(took >= least - 50, "three at once and two at the rate took {took} ms");
            let mut carol = Client::login(url(&demo), &token("carol")).await.unwrap();
            let begun = Instant::now();
            let answer = carol.ask(request.clone()).await.unwrap();
            assert_ne!(answer["op"], "error", "another user has their own: {answer}");
            assert!(begun.elapsed() < Duration::from_millis(400), "and does not wait");
        }
    }
}

/// The list of rooms, five heads, 36 days of activity, the list of direct conversations and three
/// reads a room that is shown: 58, and the `hello` before them, of which three are the burst. So the
/// next waits for 57, its own included, at four a second.
#[tokio::test]
async fn an_inbox_is_paid_for_by_what_it_took() {
    let demo = node_with("1", &FEW);
    for number in 0..5 {
        room(url(&demo), &format!("r{number}"), "all", &["alice"]).await;
    }
    let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
    let inbox = json!({"op": "inbox", "limit": 100});
    let (taken, wait) = until_refused(&mut alice, &inbox, "reads").await;
    assert_eq!(taken, 1);
    assert!((13_100..=14_250).contains(&wait.as_millis()), "{wait:?}");
    let mut bob = Client::login(url(&demo), &token("bob")).await.unwrap();
    assert_eq!(bob.ask(inbox).await.unwrap()["op"], "inbox", "another user has their own");
}

/// Asks over HTTP until it is refused: how often it was not, and the refusal.
async fn until_429(node: &str, request: &str, policy: &str) -> (usize, Answer) {
    for taken in 0..TRIES {
        let answer = ask(node, request).await;
        if answer.status == 429 {
            let (code, detail) = problem(&answer);
            assert!(code == "rate_limited" && detail.contains(&format!("{policy}: ")), "{detail}");
            return (taken, answer);
        }
        assert!(answer.status < 500, "{answer:?}");
    }
    panic!("{TRIES} times {request} and never refused")
}

/// What a user may ask who has a room of his own, and what it counts as.
fn routes(user: &str) -> [(&'static str, &'static str, String, &'static str); 9] {
    let event = r#"{"events":[{"subject":"topic.x","data":1}]}"#;
    let message = r#"{"conversation":"user.bob","body":1}"#;
    let room = format!("/v1/rooms/{user}-r");
    [
        ("sends", "POST", "/v1/rooms".into(), "{}"),
        ("sends", "PUT", room.clone(), "{}"),
        ("sends", "PUT", format!("{room}/members/bob"), "{}"),
        ("sends", "DELETE", format!("{room}/members/bob"), ""),
        ("reads", "GET", room.clone(), ""),
        ("reads", "GET", format!("{room}/members?limit=1000"), ""),
        ("reads", "GET", "/v1/conversations/user.bob/messages".into(), ""),
        ("sends", "POST", "/v1/messages".into(), message),
        ("events", "POST", "/v1/publish".into(), event),
    ]
}

/// Asks one of the routes, by a user of its own.
async fn is_refused_until_the_time_it_was_told(node: String, number: usize) {
    let user = format!("alice-{number}");
    let wish = json!({"owner": user});
    assert_eq!(backend(&node, "PUT", &format!("/v1/rooms/{user}-r"), &wish).await.0, 201);
    let (policy, method, path, body) = &routes(&user)[number];
    let request = bearing(&token(&user), method, path, body);
    let (taken, refused) = until_429(&node, &request, policy).await;
    assert!(taken >= 1, "{taken} of {request}");
    let wait = refused.header("retry-after").expect("a time to wait").parse().unwrap();
    assert!((1..=4).contains(&wait), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_ne!(ask(&node, &request).await.status, 429, "who waits is let in: {request}");
}

#[tokio::test]
async fn every_route_that_costs_is_refused_until_the_time_it_was_told() {
    for workers in WORKERS {
        let demo = node_with(workers, &FEW);
        let asked = |number| is_refused_until_the_time_it_was_told(url(&demo).to_owned(), number);
        let all_at_once: JoinSet<()> = (0..9).map(asked).collect();
        all_at_once.join_all().await;
    }
}

/// Whatever worker a room belongs to, its user's is the one that counts.
#[tokio::test]
async fn changes_of_rooms_and_sends_are_counted_together() {
    for workers in WORKERS {
        let demo = node_with(workers, &FEW);
        for number in 0..4 {
            let user = token(&format!("alice-{number}"));
            let mut alice = Client::login(url(&demo), &user).await.unwrap();
            until_429(url(&demo), &bearing(&user, "POST", "/v1/rooms", "{}"), "sends").await;
            let send = json!({"op": "send", "conversation": "user.bob", "body": 1});
            let begun = Instant::now();
            for _ in 0..3 {
                assert_eq!(alice.ask(send.clone()).await.unwrap()["op"], "sent");
            }
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(900), "three at two a second took {took:?}");
        }
    }
}

#[tokio::test]
async fn what_a_service_does_for_nobody_is_nobodys() {
    let demo = node_with("1", &FEW);
    room(url(&demo), "r", "all", &["ann"]).await;
    for (method, path, body) in [
        ("PUT", "/v1/rooms/r", "{}"),
        ("PUT", "/v1/rooms/r/members/bob", "{}"),
        ("GET", "/v1/rooms/r/members", ""),
        ("GET", "/v1/conversations/room.r/messages", ""),
    ] {
        for _ in 0..TRIES {
            let answer = ask(url(&demo), &bearing(&service(), method, path, body)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}
