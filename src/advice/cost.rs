//! What bucket counts cost: node events, subscriptions, and the CPU and memory of Redis.

use serde::Serialize;

use super::{ClassLoad, ClusterLoad};
use crate::layout::{BucketCount, BucketCounts};

/// Microseconds of Redis for a publish in a pipeline, measured without subscribers.
const PUBLISH_US: f64 = 0.6;

/// Microseconds of Redis for a push to a node, rounded up from `benches/README.md`: a direct message
/// costs 2.1 on one node and 4.8 on four.
const PUSH_US: f64 = 1.2;

/// Microseconds of Redis for a send that is counted, by `benches/README.md`: 12.3 less 2.1.
const LIMIT_US: f64 = 10.2;

/// Bytes of Redis for a subscription, measured at 1,048,576 buckets.
const SUBSCRIPTION_BYTES: f64 = 205.0;

/// Microseconds of Redis for a subscribe, measured: 1.6 to 2.0.
const SUBSCRIBE_US: f64 = 2.0;

/// What one bucket count costs one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BucketCost {
    /// Buckets of the class.
    pub buckets: u32,
    /// Node events a second, whole cluster.
    pub node_events_per_s: f64,
    /// Nodes that receive a publish to one bucket.
    pub reach: f64,
    /// Useful pushes among those of other nodes.
    pub useful_share: f64,
    /// Buckets that a node subscribes to.
    pub subscriptions_per_node: f64,
}

/// What the whole layout costs one shard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShardCost {
    /// Shards.
    pub shards: u32,
    /// The share of a core that a shard needs: an estimate.
    pub cpu: f64,
    /// Bytes for subscriptions.
    pub bytes: f64,
    /// Seconds of a shard's CPU to take all subscriptions after a reconnect of all nodes.
    pub subscribe_s: f64,
}

impl BucketCost {
    pub(super) fn of(load: &ClassLoad, nodes: u32, buckets: BucketCount) -> Self {
        Self {
            buckets: buckets.get(),
            node_events_per_s: load.per_second(nodes, buckets).1,
            reach: load.reach(nodes, buckets),
            useful_share: load.useful_share(nodes, buckets),
            subscriptions_per_node: load.subscriptions(nodes, buckets),
        }
    }
}

impl ClusterLoad {
    /// Node events a second under these bucket counts.
    pub fn node_events_per_s(&self, buckets: &BucketCounts) -> f64 {
        let events = |load: &ClassLoad| load.per_second(self.nodes, buckets.of(load.class)).1;
        self.classes.iter().map(events).sum()
    }

    /// Node events a delivery; 0 if nothing is delivered.
    pub fn node_events_per_delivery(&self, buckets: &BucketCounts) -> f64 {
        if self.deliveries_per_s <= 0.0 {
            return 0.0;
        }
        self.node_events_per_s(buckets) / self.deliveries_per_s
    }

    /// Cores of Redis that all shards need together.
    pub(super) fn redis_cores(&self, buckets: BucketCounts) -> f64 {
        let micros = |load: &ClassLoad| {
            let (publishes, pushes) = load.per_second(self.nodes, buckets.of(load.class));
            publishes * PUBLISH_US + pushes * PUSH_US
        };
        let carried: f64 = self.classes.iter().map(micros).sum();
        (carried + self.limited_sends_per_s * LIMIT_US) / 1e6
    }

    /// What these bucket counts cost each of so many shards.
    pub fn shard_cost(&self, buckets: &BucketCounts, shards: u32) -> ShardCost {
        let count = |load: &ClassLoad| load.subscriptions(self.nodes, buckets.of(load.class));
        let each: f64 = self.classes.iter().map(count).sum();
        let subscriptions = each * f64::from(self.nodes) / f64::from(shards);
        ShardCost {
            shards,
            cpu: self.redis_cores(*buckets) / f64::from(shards),
            bytes: subscriptions * SUBSCRIPTION_BYTES,
            subscribe_s: subscriptions * SUBSCRIBE_US / 1e6,
        }
    }

    /// Seconds that a recovery round takes at least: it reads what rooms each user of a node is in,
    /// what of the user's has changed, and each room. What it finds is read besides.
    pub fn repair_round_s(&self) -> f64 {
        let [users, rooms, _topics] = &self.classes;
        2.0f64.mul_add(users.keys_per_node, rooms.keys_per_node) / self.repair_reads_per_s
    }

    /// Connections of a node, each of which is a descriptor: its sessions, and those to shards. A
    /// shard has one that subscribes, and `publishers` of each event loop.
    pub fn descriptors_per_node(&self, shards: u32, publishers: u32) -> f64 {
        self.sessions_per_node
            + f64::from(shards) * (1.0 + f64::from(self.workers) * f64::from(publishers))
    }
}
