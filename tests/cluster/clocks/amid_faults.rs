//! Adds while something is away: what is answered holds, and what is not can be done again.

use serde_json::json;

use super::super::chat::login;
use super::super::resume::resume;
use super::super::rooms::{add, backend, room};
use super::Scene;
use super::behind_answers::{hears, post};
use crate::harness::{Demo, RedisServer, eventually, token};

/// Bob is live at the second node, and Carol comes back to it with an earlier cursor.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn whoever_is_added_while_redis_is_away_has_what_is_sent_behind_the_answer() {
    let mut redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let [here, there] = [0, 1].map(|node| demo.nodes[node].url.clone());
    room(&here, "r", "all", &["owner"]).await;
    let carol = token("carol");
    let cursor = resume(&there, &carol, None).await.text();
    let mut live = login(&there, &demo.bob).await;
    redis.kill();
    for node in &demo.nodes {
        let is = |verdict| move || node.operator.readiness().1 == verdict;
        eventually("it has noticed", is("degraded")).await;
    }
    for user in ["bob", "carol"] {
        add(&here, "r", user).await;
    }
    post(&here, "r", "behind").await;
    let away = resume(&there, &carol, Some(&cursor)).await;
    assert!(away.missed.contains(&json!("behind")), "{:?}", away.missed);
    redis.restart();
    assert!(hears(&mut live, "behind").await, "on the session that was there all the time");
}

/// The node that adds is stopped while its add waits for the clock.
#[tokio::test]
async fn an_add_that_waits_while_its_node_drains_is_answered_and_holds() {
    let mut scene = Scene::ready(2, |skew| {
        skew.set_one_ahead(1, 450);
        skew.set_one_ahead(2, 450);
        skew
    })
    .await;
    let (here, there) = (scene.url(0), scene.url(1));
    room(&there, "r", "all", &["owner"]).await;
    let bob = token("bob");
    let cursor = resume(&there, &bob, None).await.text();
    let draining = scene.nodes.remove(0);
    let stopping = async {
        let path = "/v1/rooms/r/members?limit=9";
        let is_stored = async || {
            let (_, page) = backend(&there, "GET", path, &json!(null)).await;
            page["members"].as_array().is_some_and(|members| members.len() == 2)
        };
        while !is_stored().await {}
        draining.stop().await;
    };
    tokio::join!(add(&here, "r", "bob"), stopping);
    post(&there, "r", "behind").await;
    let back = resume(&there, &bob, Some(&cursor)).await;
    assert!(back.missed.contains(&json!("behind")), "{:?}", back.missed);
    scene.strike().await;
}
