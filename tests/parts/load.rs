//! A node is killed under a load test.

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, aside};
use crate::cluster::watch::world::Nodes;
use crate::harness::{RedisServer, eventually};
use crate::k6::load_test::{LoadTest, Outcome};

/// Sends before the kill.
const BEFORE: u64 = 50;

#[tokio::test]
#[ignore = "needs node, redis-server and a CQL server"]
async fn a_load_test_with_reconnects_loses_nothing_when_a_node_is_killed() {
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let plan = layouts(&layout, &[&layout]);
    let mut plant = Plant::start(2, Keyspace::on_the_shared_server(), &plan).await;
    let test = LoadTest::new("reconnect", &plant.urls()).with("DURATION", "5s");
    let (load, _files) = test.with("SETTLE", "30s").with("DROP_EVERY", "1h").start();
    let operator = plant.operator(0);
    eventually("it sends", || operator.metric("narrowcast_sends_total") > BEFORE).await;
    plant.kill(0);
    let outcome = aside(|| Outcome::of(load)).await;
    outcome.assert_passed();
    assert_eq!((outcome.count("lost"), outcome.count("closed")), (0, 10), "{outcome}");
    assert_eq!(outcome.count("delivered"), outcome.count("sent"), "{outcome}");
    plant.end_all();
}
