//! Faults, from the blow to the end of it.

use std::time::Duration;

use super::load::Load;
use super::world::{NODES, Split, World};
use crate::harness::{RedisServer, Reply, Resp, eventually, eventually_within};

/// Acknowledgements that a fault lasts for at least: a second's worth.
const DURING: usize = 30;

/// A port of this machine that no server listens on (tcpmux).
const NOBODY: u16 = 1;

/// How often subscriber connections are killed.
const KILLS: usize = 5;

/// Something that breaks and heals.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing: the control of all others.
    Nothing(Duration),
    /// The first shard dies and comes back empty.
    RedisDies,
    /// The first shard kills the nodes' subscriber connections, again and again.
    SubscribersKilled,
    /// The first shard freezes.
    RedisFreezes(Duration),
    /// Half of the nodes have another primary for the first shard than the rest.
    Split(Duration),
    /// The first node alone cannot reach the first shard, until it says so and for a while longer.
    NodeCut(Duration),
    /// The second shard is down.
    ShardDown(Duration),
    /// The nodes freeze.
    NodesFreeze(Duration),
}

impl Fault {
    /// Breaks the world and heals it again, while the load goes on.
    pub async fn strike(self, world: &mut World, load: &Load) {
        match self {
            Self::Nothing(time) => tokio::time::sleep(time).await,
            Self::RedisDies => {
                world.redis[0].kill();
                load.more(DURING).await;
                world.redis[0].restart();
            }
            Self::SubscribersKilled => subscribers_killed(&world.redis[0], load).await,
            Self::RedisFreezes(time) => {
                world.redis[0].process().signal("STOP");
                tokio::time::sleep(time).await;
                world.redis[0].process().signal("CONT");
            }
            Self::Split(time) => {
                let Split { proxy, second } = world.split.as_ref().expect("it can be split");
                proxy.point(NODES / 2..NODES, second.port());
                all_listen(second, NODES / 2).await;
                tokio::time::sleep(time).await;
                load.more(DURING).await;
                proxy.point(NODES / 2..NODES, world.redis[0].port());
            }
            Self::NodeCut(time) => node_cut(world, load, time).await,
            Self::ShardDown(time) => {
                world.redis[1].kill();
                tokio::time::sleep(time).await;
                world.redis[1].restart();
            }
            Self::NodesFreeze(time) => {
                world.nodes.signal(0, "STOP");
                tokio::time::sleep(time).await;
                world.nodes.signal(0, "CONT");
            }
        }
    }
}

async fn subscribers_killed(redis: &RedisServer, load: &Load) {
    for _ in 0..KILLS {
        all_listen(redis, NODES).await;
        let killed = Resp::connect(redis.port()).ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert_eq!(killed, Reply::Number(NODES as u64));
        load.more(DURING / KILLS).await;
    }
}

/// Waits until so many nodes have a subscriber connection to a server.
async fn all_listen(redis: &RedisServer, nodes: usize) {
    let mut resp = Resp::connect(redis.port());
    let mut listening = || match resp.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]) {
        Reply::Text(list) => list.lines().count() == nodes,
        other => panic!("{other:?} is no text"),
    };
    eventually("the nodes listen", &mut listening).await;
}

/// For a node to find out how it stands among the others.
const NOTICED: Duration = Duration::from_mins(1);

/// Others are fine, so the load balancer has somewhere better to go.
async fn node_cut(world: &World, load: &Load, time: Duration) {
    let Split { proxy, .. } = world.split.as_ref().expect("ways can be cut");
    let node = world.nodes.operators().swap_remove(0);
    proxy.point(0..1, NOBODY);
    let is_unready = || {
        let (status, verdict, reasons) = node.readiness();
        (status, verdict.as_str()) == (503, "unready") && reasons.contains("cannot reach it")
    };
    // It waits until the others' rows can only mean that, 13 s.
    eventually_within(NOTICED, "the node says that it alone is cut off", is_unready).await;
    tokio::time::sleep(time).await;
    load.more(DURING).await;
    proxy.point(0..1, world.redis[0].port());
    eventually("the node is well again", || node.readiness().1 == "ready").await;
}
