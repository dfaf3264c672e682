//! The tap channel on a real Redis: heard while a session holds a wide pattern, and not after.

use serde_json::json;

use super::chat::{login, next, publish, subscribe};
use super::stage::ECHO;
use crate::harness::untimed;
use crate::harness::{Demo, RedisServer, Resp, eventually};

const TAP: &str = "nc:main:tap";
const PATIENT: [(&str, &str); 2] =
    [("TIMEOUTS__WIDE_SUBSCRIBE_TIMEOUT_MS", "15000"), ("WORKERS", "3")];

/// How many connections hear the tap channel of each shard.
fn hearing(shards: &[RedisServer]) -> Vec<u64> {
    shards.iter().map(|redis| Resp::connect(redis.port()).subscribers(TAP)).collect()
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_channel_is_heard_on_every_shard_while_anybody_needs_it() {
    let shards = [RedisServer::start(&[]), RedisServer::start(&[])];
    let urls = [shards[0].url(), shards[1].url()];
    let demo = Demo::start(1, &[&urls[0], &urls[1]], &PATIENT);
    let node = &demo.nodes[0];
    let [mut alice, mut bob] =
        [login(&node.url, &demo.alice).await, login(&node.url, &demo.bob).await];
    publish(&mut alice, "topic.a.x", json!("to nobody")).await;
    assert_eq!((hearing(&shards), node.operator.metric(ECHO)), (vec![0, 0], 0));
    subscribe(&mut alice, "presence.*").await;
    assert_eq!(hearing(&shards), [1, 1]);
    subscribe(&mut bob, "topic.>").await;
    publish(&mut alice, "topic.a.x", json!(1)).await;
    assert_eq!(
        untimed(next(&mut bob).await),
        json!({"op": "event", "subject": "topic.a.x", "data": 1})
    );
    eventually("the copy for taps comes back", || node.operator.metric(ECHO) == 1).await;
    drop(alice);
    let bobs = json!({"op": "unsubscribe", "patterns": ["topic.>"]});
    assert_eq!(bob.ask(bobs).await.expect("the node answers")["op"], "ok");
    eventually("nobody needs it any more", || hearing(&shards) == [0, 0]).await;
    subscribe(&mut bob, "topic.*.x").await;
    assert_eq!(hearing(&shards), [1, 1]);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_channel_is_heard_again_by_a_new_connection() {
    let mut shards = [RedisServer::start(&[])];
    let keys = [&PATIENT[..], &[("TIMEOUTS__REDIS_BACKOFF_MAX_MS", "50")]].concat();
    let demo = Demo::start(1, &[&shards[0].url()], &keys);
    let mut bob = login(&demo.nodes[0].url, &demo.bob).await;
    subscribe(&mut bob, "topic.>").await;
    shards[0].kill();
    shards[0].restart();
    eventually("it is heard again", || hearing(&shards) == [1]).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn without_its_confirmation_none_of_the_patterns_is_held() {
    let mut shards = [RedisServer::start(&[])];
    let keys = [
        ("TIMEOUTS__WIDE_SUBSCRIBE_TIMEOUT_MS", "300"),
        ("TIMEOUTS__SUBSCRIBE_TIMEOUT_MS", "15000"),
        ("TIMEOUTS__REDIS_BACKOFF_MAX_MS", "50"),
    ];
    let demo = Demo::start(1, &[&shards[0].url()], &keys);
    let node = &demo.nodes[0];
    let [mut alice, mut bob] =
        [login(&node.url, &demo.alice).await, login(&node.url, &demo.bob).await];
    shards[0].kill();
    let both = json!({"op": "subscribe", "patterns": ["topic.a", "topic.>"]});
    let answer = bob.ask(both).await.expect("the node answers");
    assert_eq!(answer["code"], "unavailable", "{answer}");
    assert_eq!(answer["detail"], "no confirmation within 300 ms");
    shards[0].restart();
    subscribe(&mut bob, "topic.b").await;
    publish(&mut alice, "topic.a", json!(1)).await;
    publish(&mut alice, "topic.b", json!(2)).await;
    assert_eq!(
        untimed(next(&mut bob).await),
        json!({"op": "event", "subject": "topic.b", "data": 2})
    );
    assert_eq!(hearing(&shards), [0]);
}
