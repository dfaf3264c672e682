//! What a cluster carries: how much is published, and on how many nodes its keys are held.

use crate::domain::Class;
use crate::layout::{BucketCount, PlacedKeys, Placement, PublishPlan, plan};

/// The keys of one class, and what is published to them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassLoad {
    /// The class.
    pub class: Class,
    /// Keys that a node holds, on average.
    pub keys_per_node: f64,
    /// Nodes that hold a published key, on average, the publisher included if it does.
    pub holders: f64,
    /// How often the node that publishes to a key holds it itself: 0 to 1.
    pub publisher_holds: f64,
    /// Publishes a second, whole cluster.
    pub publishes_per_s: f64,
    /// Keys of a publish: 2 for a direct message.
    pub keys_per_publish: f64,
    /// How sessions reach nodes.
    pub placement: Placement,
}

/// What a cluster carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterLoad {
    /// Nodes that serve.
    pub nodes: u32,
    /// The classes, in the order of their numbers.
    pub classes: [ClassLoad; 3],
    /// Frames delivered to sessions a second, whole cluster.
    pub deliveries_per_s: f64,
    /// Sends a second that Redis counts for the limits, whole cluster.
    pub limited_sends_per_s: f64,
    /// Sessions of a node, on average.
    pub sessions_per_node: f64,
    /// Event loops of a node.
    pub workers: u32,
    /// Reads a second of a recovery round, per node.
    pub repair_reads_per_s: f64,
}

impl ClassLoad {
    /// The share of the class's buckets that a node, of `nodes`, holds.
    pub(super) fn held_share(&self, nodes: u32, buckets: BucketCount) -> f64 {
        match self.placement {
            Placement::Random => {
                1.0 - (1.0 - 1.0 / f64::from(buckets.get())).powf(self.keys_per_node)
            }
            Placement::Bucket => self.placed(nodes, buckets).held(),
        }
    }

    /// The buckets that a node subscribes to.
    pub(super) fn subscriptions(&self, nodes: u32, buckets: BucketCount) -> f64 {
        f64::from(buckets.get()) * self.held_share(nodes, buckets)
    }

    /// How likely a node without a key holds its bucket for another key.
    fn chance(&self, nodes: u32, buckets: BucketCount) -> f64 {
        match self.placement {
            Placement::Random => self.held_share(nodes, buckets),
            Placement::Bucket => self.placed(nodes, buckets).held_by_others(),
        }
    }

    /// Each key is on one node.
    fn placed(&self, nodes: u32, buckets: BucketCount) -> PlacedKeys {
        let keys = self.keys_per_node * f64::from(nodes);
        PlacedKeys { nodes, keys, buckets: buckets.get() }
    }

    /// How many of `nodes` receive a publish to one bucket.
    pub(super) fn reach(&self, nodes: u32, buckets: BucketCount) -> f64 {
        let elsewhere = (f64::from(nodes) - self.holders).max(0.0);
        self.holders + elsewhere * self.chance(nodes, buckets)
    }

    /// Publishes to Redis and node events a second, by the plan that nodes choose.
    pub(super) fn per_second(&self, nodes: u32, buckets: BucketCount) -> (f64, f64) {
        let keys = self.keys_per_publish.round() as usize;
        match plan(keys, nodes, self.held_share(nodes, buckets)) {
            PublishPlan::Buckets => {
                let copies = self.publishes_per_s * self.keys_per_publish;
                (copies, copies * self.reach(nodes, buckets))
            }
            PublishPlan::All => (self.publishes_per_s, self.publishes_per_s * f64::from(nodes)),
        }
    }

    /// The share of useful pushes among those that nodes receive from others.
    pub(super) fn useful_share(&self, nodes: u32, buckets: BucketCount) -> f64 {
        let useful = (self.holders - self.publisher_holds).max(0.0);
        let elsewhere = (f64::from(nodes) - 1.0 - useful).max(0.0);
        let received = useful + elsewhere * self.chance(nodes, buckets);
        if received <= 0.0 { 1.0 } else { useful / received }
    }
}
