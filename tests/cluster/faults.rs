//! Faults of Redis: what is acknowledged stays stored, and live delivery comes back by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use narrowcast::client::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::chat::{PATIENT, bodies_until, body, history, login, next, publish, send, subscribe};
use super::shards::{BUCKETS, channel, name_on};
use crate::harness::{Demo, RedisServer, Reply, Resp, eventually, token};

fn start(redis: &[&RedisServer], keys: &[(&str, &str)]) -> Demo {
    let urls: Vec<String> = redis.iter().map(|redis| redis.url()).collect();
    Demo::start(2, &urls.iter().map(String::as_str).collect::<Vec<_>>(), keys)
}

/// Alice on the first node, Bob on the second.
async fn alice_and_bob(demo: &Demo) -> (Client, Client) {
    let alice = login(&demo.nodes[0].url, &demo.alice).await;
    (alice, login(&demo.nodes[1].url, &demo.bob).await)
}

/// Both nodes are degraded and still ready, and name a shard and each of these roles.
async fn noticed(demo: &Demo, shard: &str, roles: &[&str]) {
    for node in &demo.nodes {
        let notices = || {
            let (status, verdict, reasons) = node.operator.readiness();
            assert_eq!(status, 200, "{verdict}: {reasons}");
            let told = |role: &&str| reasons.contains(&format!("shard {shard}: {role}"));
            verdict == "degraded" && roles.iter().all(told)
        };
        eventually("the node tells which shard is down", notices).await;
    }
}

async fn ready(demo: &Demo) {
    for node in &demo.nodes {
        eventually("the node is ready", || node.operator.readiness().1 == "ready").await;
    }
}

/// The process is alive, ends when it is asked to, and nothing in it has panicked.
fn ends_well(mut demo: Demo) {
    assert!(demo.process.is_running());
    demo.process.signal("TERM");
    let (code, errors) = demo.process.wait();
    assert_eq!(code, Some(0), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// Somebody who sends to Bob without end.
struct Load {
    acked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<(Client, Vec<(String, Value)>)>,
}

impl Load {
    /// Between two sends: so that the whole story fits into a few pages of history.
    const PAUSE: Duration = Duration::from_millis(2);

    fn start(mut alice: Client) -> Self {
        let (acked, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stopped) = (Arc::clone(&acked), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut sent = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let body = json!(sent.len());
                sent.push((send(&mut alice, "bob", body.clone()).await, body));
                counter.store(sent.len(), Ordering::Relaxed);
                tokio::time::sleep(Self::PAUSE).await;
            }
            (alice, sent)
        });
        Self { acked, stop, task }
    }

    /// Waits until so many more are acknowledged: how many are then.
    async fn more(&self, count: usize) -> usize {
        let goal = self.acked.load(Ordering::Relaxed) + count;
        let reached = || self.acked.load(Ordering::Relaxed) >= goal || self.task.is_finished();
        eventually("sends are acknowledged", reached).await;
        self.acked.load(Ordering::Relaxed)
    }

    /// The client again, and what was acknowledged, in order.
    async fn stop(self) -> (Client, Vec<(String, Value)>) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every send was acknowledged")
    }
}

fn assert_no_repeats(bodies: &[Value]) {
    let texts: BTreeSet<String> = bodies.iter().map(Value::to_string).collect();
    assert_eq!(texts.len(), bodies.len(), "somebody heard something twice: {bodies:?}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_dies_under_load_costs_no_message() {
    let mut redis = RedisServer::start(&[]);
    let demo = start(&[&redis], &PATIENT);
    let (alice, mut bob) = alice_and_bob(&demo).await;
    let load = Load::start(alice);
    assert_eq!(body(&mut bob).await, json!(0));
    redis.kill();
    noticed(&demo, "r1", &["subscriber", "publisher"]).await;
    load.more(50).await;
    redis.restart();
    ready(&demo).await;
    load.more(1).await;
    let (mut alice, acked) = load.stop().await;
    send(&mut alice, "bob", json!("end")).await;
    let mut heard = vec![json!(0)];
    while heard.len() <= acked.len() {
        heard.push(body(&mut bob).await);
    }
    assert_no_repeats(&heard);
    let mut stored = history(&mut bob, "alice").await;
    assert_eq!(stored.pop().expect("the end").1, "end");
    assert_eq!(stored, acked);
    heard.retain(|body| body != "end");
    heard.sort_by_key(Value::as_u64);
    let all: Vec<Value> = acked.into_iter().map(|(_, body)| body).collect();
    assert_eq!(heard, all, "on the same session, what could not be published then came later");
    drop((alice, bob));
    ends_well(demo);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_subscriber_that_redis_kills_comes_back() {
    let redis = RedisServer::start(&[]);
    let demo = start(&[&redis], &PATIENT);
    let (mut alice, mut bob) = alice_and_bob(&demo).await;
    subscribe(&mut bob, "topic.scores.*").await;
    let mut resp = Resp::connect(redis.port());
    for round in 0..5 {
        assert_eq!(resp.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]), Reply::Number(2));
        for key in ["user.bob", "user.alice", "topic.scores"] {
            let back = || resp.subscribers(&channel(key, BUCKETS)) == 1;
            eventually("what is needed is subscribed again", back).await;
        }
        send(&mut alice, "bob", json!(round)).await;
        publish(&mut alice, "topic.scores.goal", json!(round)).await;
        send(&mut bob, "alice", json!(round)).await;
        let frames = [next(&mut bob).await, next(&mut bob).await];
        // The two may have come by different ways.
        let [message, event] = if frames[0]["op"] == "message" { frames } else { swap(frames) };
        assert_eq!((&message["message"]["body"], &event["data"]), (&json!(round), &json!(round)));
        assert_eq!(body(&mut alice).await, json!(round));
    }
    drop((alice, bob));
    ends_well(demo);
}

fn swap([first, second]: [Value; 2]) -> [Value; 2] {
    [second, first]
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_freezes_is_noticed_and_comes_back() {
    let redis = RedisServer::start(&[]);
    let short = [
        ("TIMEOUTS__REDIS_REPLY_TIMEOUT_MS", "300"),
        ("TIMEOUTS__REDIS_PING_MS", "100"),
        ("TIMEOUTS__REDIS_CONNECT_TIMEOUT_MS", "300"),
    ];
    let demo = start(&[&redis], &[&PATIENT[..], &short].concat());
    let (mut alice, mut bob) = alice_and_bob(&demo).await;
    redis.process().signal("STOP");
    // A publisher notices when it publishes.
    let mut acked = vec![(send(&mut alice, "bob", json!("frozen")).await, json!("frozen"))];
    send(&mut bob, "alice", json!("frozen too")).await;
    noticed(&demo, "r1", &["subscriber", "publisher"]).await;
    acked.push((send(&mut alice, "bob", json!("down")).await, json!("down")));
    redis.process().signal("CONT");
    ready(&demo).await;
    let subscribed = || Resp::connect(redis.port()).subscribers(&channel("user.bob", BUCKETS)) == 1;
    eventually("what is needed is subscribed again", subscribed).await;
    for body in [json!("after"), json!("end")] {
        acked.push((send(&mut alice, "bob", body.clone()).await, body));
    }
    let heard = bodies_until(&mut bob, &json!("end")).await;
    assert!(heard.contains(&json!("after")), "{heard:?}");
    assert_no_repeats(&heard);
    let stored = history(&mut bob, "alice").await;
    assert!(acked.iter().all(|message| stored.contains(message)), "{stored:?}");
    drop((alice, bob));
    ends_well(demo);
}

/// Two subscribes of one pattern overlap while Redis is down; the first is given up, which must
/// not take away what the second one is told that it has.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn an_ok_after_an_outage_is_kept() {
    const SUBSCRIBE: Duration = Duration::from_secs(3);
    let mut redis = RedisServer::start(&[]);
    let keys =
        [("TIMEOUTS__SUBSCRIBE_TIMEOUT_MS", "3000"), ("TIMEOUTS__REDIS_BACKOFF_MAX_MS", "50")];
    let demo = start(&[&redis], &keys);
    let (mut alice, mut bob) = alice_and_bob(&demo).await;
    // Keeps the bucket needed, whatever becomes of Bob's patterns.
    let mut keeper = login(&demo.nodes[1].url, &token("carol")).await;
    subscribe(&mut keeper, "topic.scores.kept").await;
    redis.kill();
    noticed(&demo, "r1", &["subscriber"]).await;
    let request = |id| json!({"op": "subscribe", "id": id, "patterns": ["topic.scores.goal"]});
    bob.send(&request("first").to_string()).await.expect("it reads");
    // So that the second one's time is over well after the first one's.
    tokio::time::sleep(SUBSCRIBE * 2 / 3).await;
    bob.send(&request("second").to_string()).await.expect("it reads");
    let first = next(&mut bob).await;
    assert_eq!((&first["id"], &first["code"]), (&json!("first"), &json!("unavailable")), "{first}");
    redis.restart();
    let second = next(&mut bob).await;
    assert_eq!(second["id"], "second");
    ready(&demo).await;
    let back = || Resp::connect(redis.port()).subscribers(&channel("user.bob", BUCKETS)) == 1;
    eventually("what is needed is subscribed again", back).await;
    publish(&mut alice, "topic.scores.goal", json!(1)).await;
    send(&mut alice, "bob", json!("end")).await;
    let event = next(&mut bob).await;
    let hears = event["op"] == "event";
    assert_eq!(hears, second["op"] == "ok", "told {second}, then came {event}");
}

const DETOURED: &str = "narrowcast_bus_publishes_total{outcome=\"detoured\"}";

/// Users and a topic of the second of two shards, which dies.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_belongs_on_a_dead_shard_takes_a_detour() {
    let (redis, mut dying) = (RedisServer::start(&[]), RedisServer::start(&[]));
    // Not patient: the newcomer's interest cannot be confirmed.
    let demo = start(&[&redis, &dying], &[]);
    let [far, newcomer] = ["far", "newcomer"].map(|name| name_on(1, "user", name));
    let (near, topic) = (name_on(0, "user", "near"), name_on(1, "topic", "scores"));
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut near_one = login(&demo.nodes[1].url, &token(&near)).await;
    let mut far_one = login(&demo.nodes[1].url, &token(&far)).await;
    subscribe(&mut far_one, &format!("topic.{topic}.>")).await;
    dying.kill();
    noticed(&demo, "r2", &["subscriber", "publisher"]).await;
    let mut new_one = Client::connect(&demo.nodes[1].url).await.expect("it takes sessions");
    let hello = json!({"op": "hello", "token": token(&newcomer)});
    new_one.send(&hello.to_string()).await.expect("it reads");
    assert_eq!(next(&mut new_one).await["op"], "ready");
    let cursor = next(&mut new_one).await;
    assert_eq!((&cursor["op"], &cursor["reason"]), (&json!("cursor"), &json!("no_cursor")));
    for number in 0..20 {
        for to in [&near, &far, &newcomer] {
            send(&mut alice, to, json!(number)).await;
        }
        publish(&mut alice, &format!("topic.{topic}.goal"), json!(number)).await;
        assert_eq!(body(&mut near_one).await, json!(number));
        assert_eq!(body(&mut new_one).await, json!(number));
        assert_eq!(body(&mut far_one).await, json!(number));
        assert_eq!(next(&mut far_one).await["data"], json!(number));
    }
    let detoured = demo.nodes[0].operator.metric(DETOURED);
    assert!(detoured >= 3 * 20, "far, newcomer and topic took a detour, {detoured} did");
    dying.restart();
    ready(&demo).await;
    let mut resp = Resp::connect(dying.port());
    for key in [format!("user.{far}"), format!("user.{newcomer}"), format!("topic.{topic}")] {
        eventually("the shard is used again", || resp.subscribers(&channel(&key, BUCKETS)) == 1)
            .await;
    }
    for (to, one) in [(&far, &mut far_one), (&newcomer, &mut new_one), (&near, &mut near_one)] {
        send(&mut alice, to, json!("back")).await;
        assert_eq!(body(one).await, "back");
    }
    assert_eq!(demo.nodes[0].operator.metric(DETOURED), detoured, "no more than before");
    drop((alice, near_one, far_one, new_one));
    ends_well(demo);
}
