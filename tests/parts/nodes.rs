//! What strikes nodes and shards, with real parts: nodes freeze and die each by itself.

use std::time::Duration;

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::Plant;
use super::truth::judge;
use crate::cluster::watch::fault::Fault;
use crate::cluster::watch::proxy::Proxy;
use crate::cluster::watch::scenarios::play;
use crate::cluster::watch::trial::Trial;
use crate::cluster::watch::world::{NODES as SPLIT_NODES, Nodes, Split, World};
use crate::harness::RedisServer;

const NODES: usize = 3;

/// How long a node is frozen: beyond its lease (8 s) and what others call dead (15 s).
const FROZEN: Duration = Duration::from_secs(20);

/// How long a shard is down.
const DOWN: Duration = Duration::from_secs(10);

/// How long there are two primaries, and how long a node that alone is cut off stays so: a few
/// heartbeats (one in 2 s).
const PARTED: Duration = Duration::from_secs(5);

/// Acknowledgements around a fault.
const AROUND: usize = 60;

fn shards() -> (Vec<RedisServer>, String) {
    let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
    let layout = Named::new("a", MANY, &redis);
    let text = layouts(&layout, &[&layout]);
    (redis, text)
}

async fn world() -> World {
    let (redis, text) = shards();
    let plant = Plant::start(NODES, Keyspace::on_the_shared_server(), &text).await;
    World { redis, split: None, nodes: Box::new(plant) }
}

/// Each node reaches the first shard by a way of its own.
async fn world_to_split() -> World {
    let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
    let proxy = Proxy::start(SPLIT_NODES, redis[0].port());
    let layout = Named::reached_by("a", MANY, [proxy.url(), redis[1].url()].into_iter());
    let text = layouts(&layout, &[&layout]);
    let plant = Plant::start(SPLIT_NODES, Keyspace::on_the_shared_server(), &text).await;
    let split = Some(Split { proxy, second: RedisServer::start(&[]) });
    World { redis, split, nodes: Box::new(plant) }
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn one_node_freezes() {
    let faults = [Fault::NodesFreeze(FROZEN)];
    play("one node freezes", world().await, &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn shards_die_and_come_back_empty() {
    let faults = [Fault::RedisDies, Fault::ShardDown(DOWN)];
    play("shards die", world().await, &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_shard_splits_and_a_node_is_cut_off() {
    let faults = [Fault::SubscribersKilled, Fault::Split(PARTED), Fault::NodeCut(PARTED)];
    play("a split and a cut", world_to_split().await, &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn devices_wander_while_nodes_and_shards_are_struck() {
    let faults = [Fault::Split(PARTED), Fault::NodesFreeze(FROZEN), Fault::RedisDies];
    play("everything", world_to_split().await, &faults, true).await.assert_proven();
}

/// Its devices go on at the others, and it comes back.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn one_node_is_killed() {
    let (_redis, text) = shards();
    let mut plant = Plant::start(NODES, Keyspace::on_the_shared_server(), &text).await;
    let trial = Trial::begin("one node is killed", &plant.urls()).await;
    trial.load.more(AROUND).await;
    plant.kill(0);
    trial.load.more(AROUND).await;
    plant.launch(0, &text).await;
    plant.all_ready().await;
    trial.log().lock().note_healed();
    trial.load.more(AROUND).await;
    judge(trial, plant).await;
}
