//! The short form: two nodes of one process, all well under load, and then two faults.

use std::time::Duration;

use super::talkers::Talkers;
use super::watch::Watch;
use crate::harness::{Demo, RedisServer, Resp};

/// How long all is well: 90 s in faster time. An alert whose `for` is at most 1 m would fire in it.
/// One of a longer `for` would be pending, which is no calm either: so all are covered.
const CALM: Duration = Duration::from_secs(6);

/// How long an alert may take.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
#[ignore = "needs prometheus and redis-server"]
async fn nothing_fires_under_load_and_two_faults_fire_their_alerts() {
    let mut redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let targets: Vec<String> =
        demo.nodes.iter().map(|node| node.operator.address().to_owned()).collect();
    let urls: Vec<String> = demo.nodes.iter().map(|node| node.url.clone()).collect();
    let mut watch = Watch::start(&targets).await;
    let talkers = Talkers::start(&urls, 4);
    watch.is_calm(CALM).await;
    assert!(talkers.sent() > 50, "there was load: {} messages", talkers.sent());
    watch.expect("another client publishes nonsense", &["NarrowcastBusMalformed"]).await;
    Resp::connect(redis.port()).ask(&["SPUBLISH", "nc:main:all", "nonsense"]);
    watch.fire(SOON).await;
    watch.heal();
    let alerts = ["NarrowcastShardDown", "NarrowcastWatermarkFrozen"];
    watch.expect("the Redis is killed", &alerts).await;
    redis.kill();
    watch.fire(SOON).await;
    watch.heal();
    watch.print();
}
