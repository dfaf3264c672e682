//! Faults of nodes, of Redis and of the store, on three nodes that share two shards and a CQL
//! server of their own.

use std::time::Duration;

use crate::alarms::talkers::Talkers;
use crate::alarms::watch::Watch;
use crate::cluster::watch::world::Nodes;
use crate::harness::{CqlServer, RedisServer, Resp, Served, eventually_within};
use crate::parts::keyspace::Keyspace;
use crate::parts::layout::{FEW, MANY, Named, layouts};
use crate::parts::plant::Plant;

pub const ALERTS: [&str; 14] = [
    "NarrowcastNoNodeReady",
    "NarrowcastNodeNotReady",
    "NarrowcastNodeGone",
    "NarrowcastNodesOfSameName",
    "NarrowcastWatermarkLag",
    "NarrowcastWatermarkFrozen",
    "NarrowcastStoreFailing",
    "NarrowcastStoreSlow",
    "NarrowcastLeaseLost",
    "NarrowcastClockUnknown",
    "NarrowcastShardDown",
    "NarrowcastBusMalformed",
    "NarrowcastOtherStore",
    "NarrowcastLimiterUnshared",
];

const NODES: usize = 3;

/// Users of each node.
const USERS: usize = 3;

/// How long all is well under load.
const CALM: Duration = Duration::from_mins(1);

/// How long an alert may take that waits for nothing but its rule: five minutes in faster time, and
/// what the node takes.
const SOON: Duration = Duration::from_secs(45);

/// The same where a minute has to pass until a node knows.
const LATE: Duration = Duration::from_secs(110);

/// Beyond a lease (8 s), with a scrape in it.
const FROZEN: Duration = Duration::from_secs(12);

/// A store that answers late: the parts of a second in which it does nothing, and in which it works.
const STUCK: Duration = Duration::from_millis(700);
const AT_WORK: Duration = Duration::from_millis(300);

struct Scene {
    plant: Plant,
    redis: Vec<RedisServer>,
    cql: CqlServer,
    plan: String,
    watch: Watch,
}

impl Scene {
    async fn set() -> Self {
        let cql = CqlServer::start();
        let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
        let layout = Named::new("a", MANY, &redis);
        let plan = layouts(&layout, &[&layout]);
        let mut plant =
            Plant::new(Keyspace::on(vec![cql.address()])).started_by(Served::with_rates);
        for _ in 0..NODES {
            plant.add(&plan).await;
        }
        plant.all_ready().await;
        let targets: Vec<String> =
            plant.operators().iter().map(|operator| operator.address().to_owned()).collect();
        let watch = Watch::start(&targets).await;
        Self { plant, redis, cql, plan, watch }
    }

    async fn launch(&mut self, node: usize) {
        self.plant.launch(node, &self.plan).await;
    }

    async fn end(mut self, talkers: Talkers) {
        self.plant.all_ready().await;
        self.watch.end().await;
        drop(talkers);
        self.plant.end_all();
    }

    /// Another node on these shards, which ends when it is dropped.
    async fn stranger(&self, keyspace: Keyspace) -> Plant {
        let mut other = Plant::new(keyspace);
        other.add(&self.plan).await;
        other
    }
}

#[tokio::test]
#[ignore = "needs prometheus, redis-server and a CQL server, and takes minutes"]
async fn faults_of_nodes_fire_alerts_and_a_calm_minute_none() {
    let mut scene = Scene::set().await;
    let talkers = Talkers::start(&scene.plant.urls(), USERS);
    scene.watch.is_calm(CALM).await;
    assert!(talkers.sent() > 500, "there was load: {} messages", talkers.sent());
    println!("none in {CALM:?} with {} messages", talkers.sent());
    strike_nodes(&mut scene).await;
    strike_namespace(&mut scene).await;
    strike_all_nodes(&mut scene).await;
    scene.end(talkers).await;
}

#[tokio::test]
#[ignore = "needs prometheus, redis-server and a CQL server, and takes minutes"]
async fn faults_of_shards_and_of_the_store_fire_alerts() {
    let mut scene = Scene::set().await;
    let talkers = Talkers::start(&scene.plant.urls(), USERS);
    // Who is not in yet would wait for the shard, and not send.
    eventually_within(SOON, "all talk", || talkers.sent() > 300).await;
    strike_shards(&mut scene).await;
    strike_store(&mut scene).await;
    scene.end(talkers).await;
}

async fn strike_nodes(scene: &mut Scene) {
    scene.watch.expect("a node is killed", &["NarrowcastNodeGone"]).await;
    scene.plant.kill(2);
    scene.watch.fire(SOON).await;
    scene.launch(2).await;
    scene.watch.heal();

    scene.watch.expect("a node is frozen for 12 s", &["NarrowcastLeaseLost"]).await;
    scene.plant.signal(1, "STOP");
    tokio::time::sleep(FROZEN).await;
    scene.plant.signal(1, "CONT");
    scene.watch.fire(SOON).await;
    scene.watch.heal();

    let name = "a node is started with another layout";
    scene.watch.expect(name, &["NarrowcastNodeNotReady"]).await;
    scene.plant.leave(2).await;
    let other = Named::new("b", FEW, &scene.redis);
    scene.plant.launch(2, &layouts(&other, &[&other])).await;
    scene.watch.fire(SOON).await;
    scene.plant.leave(2).await;
    scene.launch(2).await;
    scene.watch.heal();
}

async fn strike_namespace(scene: &mut Scene) {
    let name = "a node is started with another's name";
    scene.watch.expect(name, &["NarrowcastNodesOfSameName"]).await;
    let mut namesake = scene.stranger(scene.plant.keyspace().clone()).await;
    scene.watch.fire(SOON).await;
    namesake.end_all();
    scene.watch.heal();

    let name = "another client publishes nonsense";
    scene.watch.expect(name, &["NarrowcastBusMalformed"]).await;
    let mut client = Resp::connect(scene.redis[0].port());
    client.ask(&["SPUBLISH", "nc:main:all", "nonsense"]);
    scene.watch.fire(SOON).await;
    scene.watch.heal();

    let name = "a node of another store has the same namespace";
    scene.watch.expect(name, &["NarrowcastOtherStore"]).await;
    let mut other = scene.stranger(Keyspace::on(vec![scene.cql.address()])).await;
    let _talkers = Talkers::start(&other.urls(), USERS);
    scene.watch.fire(SOON).await;
    other.end_all();
    scene.watch.heal();
}

/// While the store can be read, cursors stand still and are not late.
async fn strike_shards(scene: &mut Scene) {
    let alerts = ["NarrowcastShardDown", "NarrowcastWatermarkFrozen", "NarrowcastLimiterUnshared"];
    scene.watch.expect("a Redis is killed", &alerts).await;
    scene.redis[0].kill();
    scene.watch.fire(SOON).await;
    scene.redis[0].restart();
    scene.watch.heal();

    scene.watch.expect("a Redis is frozen", &alerts).await;
    scene.redis[1].process().signal("STOP");
    scene.watch.fire(SOON).await;
    scene.redis[1].process().signal("CONT");
    scene.watch.heal();
}

async fn strike_store(scene: &mut Scene) {
    let name = "the CQL server does nothing for 0.7 s of each second";
    scene.watch.expect(name, &["NarrowcastStoreSlow"]).await;
    let begun = std::time::Instant::now();
    while !scene.watch.have_fired().await {
        assert!(begun.elapsed() < LATE, "{name}");
        scene.cql.stop();
        tokio::time::sleep(STUCK).await;
        scene.cql.cont();
        tokio::time::sleep(AT_WORK).await;
    }
    scene.watch.heal();

    let alerts = ["NarrowcastStoreFailing", "NarrowcastWatermarkLag", "NarrowcastClockUnknown"];
    scene.watch.expect("the CQL server is frozen", &alerts).await;
    scene.cql.stop();
    scene.watch.fire(LATE).await;
    scene.cql.cont();
    scene.watch.heal();
}

async fn strike_all_nodes(scene: &mut Scene) {
    scene.watch.expect("all nodes are killed", &["NarrowcastNoNodeReady"]).await;
    (0..NODES).for_each(|node| scene.plant.kill(node));
    scene.watch.fire(SOON).await;
    for node in 0..NODES {
        scene.launch(node).await;
    }
    scene.watch.heal();
}
