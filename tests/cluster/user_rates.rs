//! The sends of a user, which all nodes count together, and what each does while they cannot.

use std::ops::RangeInclusive;
use std::time::Instant;

use serde_json::{Value, json};

use super::rooms::backend;
use crate::harness::{Demo, PATIENCE, RedisServer};

const UNSHARED: &str = "narrowcast_limiter_unshared_total";

/// So many at once, and one a second.
const BURST: usize = 40;

const FEW: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__SEND_BURST", "40"), ("RATES__SENDS_PER_S", "1")];

/// A verdict is waited for, however slow the machine is.
const PATIENT: (&str, &str) = ("TIMEOUTS__LIMITER_TIMEOUT_MS", "10000");

async fn send(url: &str, from: &str) -> (u16, Value) {
    let message = json!({"from": from, "conversation": "user.bob", "body": 1});
    backend(url, "POST", "/v1/messages", &message).await
}

/// Sends until it is refused: how many were not.
async fn sent(url: &str, from: &str) -> usize {
    for number in 0..2 * BURST {
        let (status, answer) = send(url, from).await;
        if status == 429 {
            assert_eq!(answer["code"], "rate_limited", "{answer}");
            return number;
        }
        assert_eq!(status, 201, "{answer}");
    }
    panic!("never refused")
}

/// Lets users who have sent nothing yet send as much as they may, until one is let in so often.
async fn comes_to(url: &str, name: &str, wanted: RangeInclusive<usize>) {
    let until = Instant::now() + PATIENCE;
    for number in 0.. {
        let let_in = sent(url, &format!("{name}-{number}")).await;
        if wanted.contains(&let_in) {
            return;
        }
        assert!(Instant::now() < until, "{let_in} are let in, {wanted:?} are wanted");
    }
}

/// A node that counted by itself would let in half of it, being one of two, and then the other one
/// the same.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn two_nodes_share_the_sends_of_a_user() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[FEW.as_slice(), &[PATIENT]].concat());
    let [here, there] = &demo.nodes[..] else { panic!("two nodes") };
    let begun = Instant::now();
    let first = sent(&here.url, "alice").await;
    let second = sent(&there.url, "alice").await;
    let refilled = begun.elapsed().as_secs() as usize + 1;
    assert!(first >= BURST, "{first}: all of it here");
    assert!(first + second <= BURST + refilled, "{first} and {second}: and nothing more there");
    let (status, refused) = send(&there.url, "alice").await;
    assert_eq!(status, 429, "{refused}");
    assert_eq!(send(&there.url, "carol").await.0, 201, "another user has their own");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn while_redis_is_down_each_of_two_nodes_has_half() {
    let mut redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &FEW);
    let [here, there] = &demo.nodes[..] else { panic!("two nodes") };
    comes_to(&here.url, "before", BURST..=BURST + 4).await;
    redis.kill();
    // Each second gives back half of one.
    for (node, name) in [(here, "here"), (there, "there")] {
        comes_to(&node.url, name, BURST / 2..=BURST / 2 + 2).await;
        assert!(node.operator.metric(UNSHARED) >= BURST as u64 / 2);
    }
    redis.restart();
    comes_to(&there.url, "after", BURST..=BURST + 4).await;
}
