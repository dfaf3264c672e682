//! The hint of a client, right, wrong and forged.

use narrowcast::domain::UserId;
use serde_json::json;

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use super::session::Session;
use crate::harness::Balancer;
use crate::wire::raw::text;

/// What clients may say instead of their own id.
const HINTS: [&str; 13] = [
    "",
    "?",
    "?user",
    "?user=",
    "?user=&user=bob",
    "?user=bob",
    "?user=bob&user=alice",
    "?user=alice&user=bob",
    "?user=%",
    "?user=%zz",
    "?user=%00",
    "?USER=bob",
    "?x=1&user=bob%26&y",
];

async fn connects_and_grants_nothing(balancer: &Balancer) {
    let alice = UserId::parse("alice").expect("it is an id");
    let long = format!("?user={}", "b".repeat(4096));
    for query in HINTS.into_iter().chain([long.as_str()]) {
        let mut session = Session::with_query(&balancer.url(), query, &alice).await;
        assert_eq!(session.user, "alice", "{query}");
        let others = json!({"op": "history", "id": 1, "conversation": "dm.bob.carol"});
        session.raw.send(&text(&others.to_string())).await;
        let answer = session.raw.receive_op("error").await;
        assert_eq!(answer["code"], "not_found", "{query}: {answer}");
    }
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn any_hint_connects_through_haproxy_and_grants_nothing() {
    let fleet = Fleet::start(3, BEHIND_HAPROXY).await;
    connects_and_grants_nothing(&Balancer::haproxy(&fleet.addresses())).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn any_hint_connects_through_nginx_and_grants_nothing() {
    let fleet = Fleet::start(3, BEHIND_NGINX).await;
    connects_and_grants_nothing(&Balancer::nginx(&fleet.addresses())).await;
}
