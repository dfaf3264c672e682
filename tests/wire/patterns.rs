//! What patterns take of their bounds, and what lists of them cost their user.

use narrowcast::client::{Client, ClientError};
use serde_json::{Value, json};

use super::http::{ask, bearing};
use super::tokens::{granting, token};
use super::{WORKERS, node_with, url};

/// A pattern of seven bytes and 200 more, five of which are over the bound.
const FOUR_FIT: [(&str, &str); 1] = [("LIMITS__PATTERN_BYTES", "1024")];

/// A hundred list items at once, and hardly any more during a test.
const ITEMS: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__ITEM_BURST", "100"), ("RATES__ITEMS_PER_S", "1")];

fn subscribe(patterns: &[&str]) -> Value {
    json!({"op": "subscribe", "patterns": patterns})
}

fn unsubscribe(patterns: &[String]) -> Value {
    json!({"op": "unsubscribe", "patterns": patterns})
}

async fn answer(client: &mut Client, request: Value) -> Value {
    client.ask(request).await.expect("the node answers")
}

fn is_limited_by_items(answer: &Value) -> bool {
    let told = answer["detail"].as_str().unwrap_or_default();
    answer["code"] == "rate_limited" && told.contains("list items: 1 a second and 100 at once")
}

#[tokio::test]
async fn patterns_have_so_many_bytes_of_a_session_and_give_them_back() {
    for workers in WORKERS {
        let demo = node_with(workers, &FOUR_FIT);
        let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
        let four = subscribe(&["topic.a", "topic.b", "topic.c", "topic.d"]);
        assert_eq!(answer(&mut alice, four.clone()).await["op"], "ok");
        let refused = answer(&mut alice, subscribe(&["topic.e"])).await;
        assert_eq!(refused["code"], "limit_reached", "{refused}");
        let told = refused["detail"].as_str().unwrap();
        for part in ["1035 bytes", "`limits.pattern_bytes` = 1024"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(answer(&mut alice, four).await["op"], "ok", "what is held takes nothing more");
        let one = unsubscribe(&["topic.b".into()]);
        assert_eq!(answer(&mut alice, one).await["op"], "ok");
        assert_eq!(answer(&mut alice, subscribe(&["topic.e"])).await["op"], "ok");
    }
}

#[tokio::test]
async fn a_hello_names_the_patterns_that_do_not_fit() {
    for workers in WORKERS {
        let demo = node_with(workers, &FOUR_FIT);
        let mut alice = Client::connect(url(&demo)).await.unwrap();
        let patterns = ["topic.a", "topic.b", "topic.longer.than.the.others", "topic.c", "topic.d"];
        let hello = json!({"op": "hello", "token": token("alice"), "subscribe": patterns});
        let ready = answer(&mut alice, hello).await;
        assert_eq!((&ready["op"], &ready["refused"]), (&json!("ready"), &json!(["topic.d"])));
    }
}

/// A subscribe of a hundred patterns under a hundred grants, the last of which is not granted.
fn refused_subscribe() -> Value {
    let mut patterns: Vec<String> = (0..99).map(|number| format!("topic.g99.{number}")).collect();
    patterns.push("topic.nope".into());
    json!({"op": "subscribe", "patterns": patterns})
}

#[tokio::test]
async fn a_list_is_charged_whatever_comes_of_it_and_all_connections_of_a_user_share_the_limit() {
    let grants: Vec<String> = (0..100).map(|number| format!("topic.g{number}.>")).collect();
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    for workers in WORKERS {
        let demo = node_with(workers, &ITEMS);
        let mut bystander = Client::login(url(&demo), &token("bob")).await.unwrap();
        let mut codes = Vec::new();
        let mut hostile = Vec::new();
        for _ in 0..3 {
            let token = granting("mallory", &[], &grants);
            hostile.push(Client::login(url(&demo), &token).await.unwrap());
        }
        for _ in 0..5 {
            for client in &mut hostile {
                codes.push(answer(client, refused_subscribe()).await["code"].clone());
                assert_eq!(answer(&mut bystander, json!({"op": "ping"})).await["op"], "pong");
            }
        }
        assert_eq!(codes[0], "forbidden", "the first one is within the burst");
        assert!(codes[1..].iter().all(|code| code == "rate_limited"), "{codes:?}");
        let own = subscribe(&["topic.x"]);
        assert_eq!(
            answer(&mut bystander, own).await["op"],
            "ok",
            "another user has a limit of their own"
        );
    }
}

#[tokio::test]
async fn whatever_names_patterns_is_charged() {
    let many: Vec<String> = (0..60).map(|number| format!("topic.{number}")).collect();
    for workers in WORKERS {
        let demo = node_with(workers, &ITEMS);
        let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
        assert_eq!(answer(&mut alice, unsubscribe(&many)).await["op"], "ok");
        let refused = answer(&mut alice, unsubscribe(&many)).await;
        assert!(is_limited_by_items(&refused), "{refused}");

        let hello = |user: &str, patterns: &[String]| json!({"op": "hello", "token": token(user), "subscribe": patterns});
        let mut first = Client::connect(url(&demo)).await.unwrap();
        assert_eq!(answer(&mut first, hello("bob", &many)).await["op"], "ready");
        let mut second = Client::connect(url(&demo)).await.unwrap();
        let refused = answer(&mut second, hello("bob", &many)).await;
        assert!(is_limited_by_items(&refused), "{refused}");
        let ended = second.next().await;
        assert!(matches!(ended, Err(ClientError::Closed { code: 4101, .. })), "{ended:?}");

        let mut carol = Client::login(url(&demo), &token("carol")).await.unwrap();
        let mut renewed = 0;
        let renew = json!({"op": "renew", "token": token("carol")});
        while answer(&mut carol, renew.clone()).await["op"] == "renewed" {
            renewed += 1;
            assert!(renewed <= 3, "each fresh token counts as fifty");
        }
        assert!(renewed >= 2, "{renewed}");
    }
}

#[tokio::test]
async fn a_list_over_http_is_charged_before_it_is_looked_at() {
    let event = |subject: &str| json!({"subject": subject, "data": 1});
    let mut events: Vec<Value> = (0..59).map(|_| event("topic.x")).collect();
    events.push(event("user.bob.x"));
    let body = json!({ "events": events }).to_string();
    for workers in WORKERS {
        let demo = node_with(workers, &ITEMS);
        let request = bearing(&token("alice"), "POST", "/v1/publish", &body);
        let statuses = [ask(url(&demo), &request).await, ask(url(&demo), &request).await];
        assert_eq!(statuses.map(|answer| answer.status), [403, 429]);
    }
}

/// A frame of a hundred patterns counts as eleven.
#[tokio::test]
async fn a_list_counts_as_several_frames_of_its_connection() {
    let keys = [("RATES__FRAME_BURST", "25"), ("RATES__FRAMES_PER_S", "1")];
    let many: Vec<String> = (0..100).map(|number| format!("topic.{number}")).collect();
    for workers in WORKERS {
        let demo = node_with(workers, &keys);
        let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
        let mut taken = 0;
        let refused = loop {
            let answer = answer(&mut alice, unsubscribe(&many)).await;
            if answer["op"] != "ok" {
                break answer;
            }
            taken += 1;
        };
        assert!((2..=3).contains(&taken), "{taken}");
        assert_eq!(refused["code"], "rate_limited");
        let told = refused["detail"].as_str().unwrap();
        assert!(told.starts_with("frames of a connection"), "{told}");
    }
}
