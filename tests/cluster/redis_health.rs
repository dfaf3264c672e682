//! Whether a Redis is well follows from what it is for: that it publishes, and is heard.

use serde_json::json;

use super::chat::{body, login, next, publish, send, subscribe};
use crate::harness::{Demo, RedisServer, Reply, Resp, eventually, token};

/// Links that are idle are looked at often.
const LOOKS: (&str, &str) = ("TIMEOUTS__REDIS_PING_MS", "50");

const PROBES: &str = "narrowcast_canaries_total";

fn verdict(demo: &Demo, node: usize) -> (String, String) {
    let (_, verdict, reasons) = demo.nodes[node].operator.readiness();
    (verdict, reasons)
}

async fn tells(demo: &Demo, part: &str) {
    for node in 0..demo.nodes.len() {
        eventually(part, || {
            let (verdict, reasons) = verdict(demo, node);
            verdict == "degraded" && reasons.contains(part)
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_refuses_a_ping_and_publishes_is_up() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[LOOKS]);
    redis.fail_snapshots();
    let operator = &demo.nodes[0].operator;
    let looks = operator.metric(PROBES);
    eventually("links are looked at", || operator.metric(PROBES) > looks + 50).await;
    assert_eq!([0, 1].map(|node| verdict(&demo, node).0), ["ready", "ready"]);
    assert_eq!(operator.metric("narrowcast_delivery_gaps_total"), 0);
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut bob = login(&demo.nodes[1].url, &demo.bob).await;
    send(&mut alice, "bob", json!("it goes on")).await;
    assert_eq!(body(&mut bob).await, "it goes on");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_answers_a_ping_and_refuses_to_publish_is_down() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[LOOKS]);
    let mut resp = Resp::connect(redis.port());
    resp.ask(&["ACL", "SETUSER", "default", "resetchannels"]);
    assert!(resp.try_ask(&["PING"]).is_ok());
    tells(&demo, "shard r1: publisher").await;
    tells(&demo, "shard r1: subscriber").await;
    resp.ask(&["ACL", "SETUSER", "default", "allchannels"]);
    for node in 0..2 {
        eventually("it is up again", || verdict(&demo, node).0 == "ready").await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_takes_no_more_clients_is_told_as_that() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let mut resp = Resp::connect(redis.port());
    resp.ask(&["CONFIG", "SET", "maxclients", "1"]);
    resp.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    tells(&demo, "the server answered: ERR max number of clients reached").await;
}

/// An operator reads what stopped and when it is well again, once for each node.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_log_tells_an_outage_once_at_both_ends() {
    let mut redis = RedisServer::start(&[]);
    let mut demo = Demo::start(2, &[&redis.url()], &[LOOKS, ("WORKERS", "2")]);
    redis.kill();
    tells(&demo, "shard r1: subscriber").await;
    redis.restart();
    for node in 0..2 {
        let is_well = || verdict(&demo, node).0 == "ready";
        eventually("it is up again", is_well).await;
        let frozen = || demo.nodes[node].operator.metric("narrowcast_watermark_frozen") == 0;
        eventually("cursors move again", frozen).await;
    }
    let said = demo.process.finish();
    for node in ["n1", "n2"] {
        for told in [
            "WARN {node} shard r1 is lost (",
            "INFO {node} shard r1 is back after ",
            "WARN {node} cursors stand still (",
            "INFO {node} cursors move again after ",
        ] {
            let told = told.replace("{node}", node);
            let count = said.lines().filter(|line| line.contains(&told)).count();
            assert_eq!(count, 1, "{told}: {said}");
        }
    }
    assert!(!said.contains(" { "), "no line has the debugger's form: {said}");
}

/// The line of the operator's document, for the namespace of a demo.
pub fn documented_user() -> Vec<String> {
    let document = include_str!("../../config/README.md");
    let line = document.lines().find(|line| line.starts_with("ACL SETUSER")).expect("it is there");
    line.replace("<namespace>", "main").split(' ').map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_documented_user_may_do_all_that_is_needed() {
    let redis = RedisServer::start(&[]);
    let mut resp = Resp::connect(redis.port());
    let user = documented_user();
    resp.ask(&user.iter().map(String::as_str).collect::<Vec<_>>());
    let url = redis.url().replace("redis://", "redis://narrowcast:secret@") + "/1";
    let demo = Demo::start(2, &[&url], &[LOOKS, ("RATES__LIMIT_USERS", "true")]);
    let [here, there] = [0, 1].map(|node| &demo.nodes[node].url);
    let mut alice = login(here, &demo.alice).await;
    let mut bob = login(there, &demo.bob).await;
    for pattern in ["topic.scores.*", "topic.>"] {
        subscribe(&mut bob, pattern).await;
        publish(&mut alice, "topic.scores.goal", json!(pattern)).await;
        assert_eq!(next(&mut bob).await["data"], pattern);
    }
    send(&mut alice, "bob", json!("by the shard")).await;
    assert_eq!(body(&mut bob).await, "by the shard");
    let seen = |demo: &Demo| demo.nodes[0].operator.metric(PROBES);
    let before = seen(&demo);
    eventually("links were looked at", || seen(&demo) > before + 20).await;
    assert!(resp.calls("evalsha") > 0, "the limiter counts there");
    let Reply::List(refusals) = resp.ask(&["ACL", "LOG"]) else { panic!("a list") };
    assert_eq!(refusals, [], "nothing was refused");
    for node in 0..2 {
        assert_eq!(verdict(&demo, node).0, "ready");
    }
}

/// Two deployments, each with a store of its own, by one name on one Redis.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn two_deployments_by_one_name_say_so_and_share_no_limits() {
    let redis = RedisServer::start(&[]);
    let keys =
        [("RATES__SENDS_PER_S", "1"), ("RATES__SEND_BURST", "30"), ("RATES__LIMIT_USERS", "true")];
    let [here, there] = [0, 1].map(|_| Demo::start(1, &[&redis.url()], &keys));
    for demo in [&here, &there] {
        tells(demo, "namespace: nodes of another store publish under the same name").await;
        let mut client = login(&demo.nodes[0].url, &token("ann")).await;
        for number in 0..25 {
            send(&mut client, "bob", json!(number)).await;
        }
        let (status, verdict, _) = demo.nodes[0].operator.readiness();
        assert_eq!((status, &*verdict), (200, "degraded"), "whoever can publish stops no node");
    }
}
