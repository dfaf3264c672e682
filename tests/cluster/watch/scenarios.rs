//! Faults under load, one after another or alone.

use std::time::Duration;

use super::fault::Fault;
use super::lag::{Phase, Sampler};
use super::trial::Trial;
use super::verdict::Verdict;
use super::world::World;

/// Acknowledgements before a fault, and after it.
const AROUND: usize = 60;

/// How long nothing happens where nothing is to happen.
const QUIET: Duration = Duration::from_secs(8);

/// How long a shard of two is down.
const DOWN: Duration = Duration::from_mins(1);

/// How long a Redis is frozen: beyond every wait of a link (`timeouts.redis_reply_timeout_ms`, 3 s by default).
const FROZEN: Duration = Duration::from_secs(10);

/// How long a node stays cut off once it has said so.
const CUT: Duration = Duration::from_secs(5);

/// How long nodes are frozen: beyond the lease of an incarnation (8 s).
const NODES_FROZEN: Duration = Duration::from_secs(12);

/// How long there are two primaries: a few heartbeats (one in 2 s).
const PARTED: Duration = Duration::from_secs(5);

/// The same faults in a row, with other ones before and after.
const SHORT: Duration = Duration::from_secs(4);

/// Plays a scenario to its end: faults under load, with devices that stay or that wander.
pub async fn play(name: &str, mut world: World, faults: &[Fault], wander: bool) -> Verdict {
    let lag = Sampler::start(world.nodes.operators());
    let mut trial = Trial::begin(name, &world.nodes.urls()).await;
    if wander {
        trial.wander();
    }
    trial.load.more(AROUND).await;
    for fault in faults {
        lag.enter(Phase::During);
        fault.strike(&mut world, &trial.load).await;
        trial.log().lock().note_healed();
        lag.enter(Phase::After);
        trial.load.more(AROUND).await;
    }
    let verdict = trial.end().await;
    println!("{name}: {}", lag.end());
    world.end();
    verdict
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn without_a_fault_everything_is_everywhere() {
    let faults = [Fault::Nothing(QUIET)];
    play("no fault", World::set(2), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_dies_and_comes_back_empty() {
    play("Redis dies", World::set(1), &[Fault::RedisDies], false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn subscriber_connections_that_are_killed() {
    let faults = [Fault::SubscribersKilled];
    play("subscribers killed", World::set(1), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_freezes() {
    let faults = [Fault::RedisFreezes(FROZEN)];
    play("Redis freezes", World::set(1), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_second_primary_for_half_of_the_nodes() {
    let faults = [Fault::Split(PARTED)];
    play("two primaries", World::set_to_split(1), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_node_that_alone_is_cut_off() {
    let faults = [Fault::NodeCut(CUT)];
    play("a node cut off", World::set_to_split(1), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn one_of_two_shards_down() {
    let faults = [Fault::ShardDown(DOWN)];
    play("one shard down", World::set(2), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn nodes_that_freeze() {
    let faults = [Fault::NodesFreeze(NODES_FROZEN)];
    play("nodes freeze", World::set(1), &faults, false).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn devices_that_wander_without_a_fault() {
    let faults = [Fault::Nothing(QUIET)];
    play("wandering", World::set(2), &faults, true).await.assert_proven();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn devices_that_wander_through_every_fault() {
    let faults = [
        Fault::SubscribersKilled,
        Fault::RedisDies,
        Fault::RedisFreezes(SHORT),
        Fault::Split(SHORT),
        Fault::ShardDown(SHORT),
        Fault::NodesFreeze(SHORT),
    ];
    play("everything", World::set_to_split(2), &faults, true).await.assert_proven();
}
