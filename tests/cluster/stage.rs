//! Five nodes with people on them, and a way to know that everything has arrived.
//!
//! On every node but the first there are two users, one whose bucket is on each shard. What Alice
//! wrote before on a shard has reached a node when its user of that shard hears of her: it went
//! the same way, over the same connections, in order. So what a node has received then is all
//! that it receives.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::{PATIENT, body, login, next, send, subscribe};
use super::shards::name_on;
use crate::harness::{Demo, Operator, RedisServer, Resp, eventually, token};

pub const NODES: usize = 5;

/// What the curtain's messages add: how many there are, and so how many publishes of Alice's to
/// each of her own bucket and the others'.
pub const CURTAIN: u64 = 2 * (NODES as u64 - 1);

/// What the curtain's messages add to a node with buckets for all: one for each user on it.
pub const CURTAIN_HERE: u64 = 2;

pub struct Stage {
    pub redis: Vec<RedisServer>,
    pub demo: Demo,
    pub alice: Client,
    others: Vec<Other>,
}

struct Other {
    user: String,
    node: usize,
    client: Client,
}

impl Stage {
    pub async fn set(shards: usize, keys: &[(&str, &str)]) -> Self {
        let redis: Vec<_> = (0..shards).map(|_| RedisServer::start(&[])).collect();
        let urls: Vec<String> = redis.iter().map(RedisServer::url).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let demo = Demo::start(NODES, &urls, &[&PATIENT, keys].concat());
        let alice = login(&demo.nodes[0].url, &demo.alice).await;
        let mut others = Vec::new();
        for (node, name) in [(1, "anna"), (2, "ben"), (3, "carol"), (4, "dave")] {
            for shard in 0..2 {
                let user = name_on(shard, "user", name);
                let mut client = login(&demo.nodes[node].url, &token(&user)).await;
                subscribe(&mut client, &format!("topic.{user}")).await;
                others.push(Other { user, node, client });
            }
        }
        Self { redis, demo, alice, others }
    }

    /// The keys of the users on a node, and of what they subscribe.
    pub fn keys_on(&self, node: usize) -> Vec<String> {
        let here = self.others.iter().filter(|other| other.node == node);
        here.flat_map(|other| ["user", "topic"].map(|kind| format!("{kind}.{}", other.user)))
            .collect()
    }

    /// Ends the story: when it returns, everything has arrived on the nodes but Alice's, and
    /// nobody there heard anything that was not for him.
    pub async fn curtain(&mut self) {
        for other in &mut self.others {
            send(&mut self.alice, &other.user, json!("curtain")).await;
        }
        for other in &mut self.others {
            assert_eq!(body(&mut other.client).await, "curtain");
        }
    }

    /// Checks how many pushes each node has received, whatever they were to it. What must come is
    /// waited for; what must not would be there already, since the curtain has fallen.
    pub async fn assert_received(&self, expected: [u64; NODES]) {
        let received = || self.metric("narrowcast_bus_received_total");
        let enough = || received().iter().zip(&expected).all(|(count, wanted)| count >= wanted);
        eventually("every node receives what it must", enough).await;
        assert_eq!(received(), expected);
    }

    pub fn metric(&self, start: &str) -> Vec<u64> {
        self.demo.nodes.iter().map(|node| node.operator.metric(start)).collect()
    }

    /// Checks how many publishes the shards have seen, told by themselves, probes left out.
    pub async fn assert_published(&self, expected: u64, why: &str) {
        let probes = || self.demo.nodes.iter().map(|node| probes(&node.operator)).sum();
        eventually(why, || published(&self.redis, probes) == Some(expected)).await;
    }

    /// The connections that hear a channel, told by the shards.
    pub fn subscribers(&self, channel: &str) -> u64 {
        self.redis.iter().map(|redis| Resp::connect(redis.port()).subscribers(channel)).sum()
    }
}

/// What a node has published to see that it can: canaries, and once for each subscriber connection.
pub fn probes(node: &Operator) -> u64 {
    ["narrowcast_canaries_total", "narrowcast_shard_subscriber_connects_total"]
        .map(|name| node.metric(name))
        .iter()
        .sum()
}

/// Publishes that the shards have seen, told by themselves, without the nodes' probes; none while
/// one of those may be under way.
pub fn published(redis: &[RedisServer], probes: impl Fn() -> u64) -> Option<u64> {
    let before = [probes(), probes()];
    let calls: u64 = redis.iter().map(|redis| Resp::connect(redis.port()).calls("spublish")).sum();
    let still = before == [probes(); 2];
    still.then(|| calls - before[0])
}

pub const ECHO: &str = "narrowcast_bus_received_total{outcome=\"echo\"";
pub const USEFUL: &str = "narrowcast_bus_received_total{outcome=\"useful\"";
pub const WASTED: &str = "narrowcast_bus_received_total{outcome=\"wasted\"";

/// The next frames, which must be messages from Alice with these bodies, in order.
pub async fn hears_from_alice(client: &mut Client, bodies: impl Iterator<Item = Value>) {
    for body in bodies {
        let frame = next(client).await;
        assert_eq!(frame["op"], "message", "{frame}");
        let message = &frame["message"];
        assert_eq!((&message["from"], &message["body"]), (&json!("alice"), &body), "{frame}");
        assert_eq!(message["conversation"], "dm.alice.bob");
    }
}
