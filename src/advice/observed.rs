//! The load of running nodes, by what they counted within some time.

use super::{ClassLoad, ClusterLoad};
use crate::domain::Class;
use crate::layout::{BucketCount, Placement};

/// From this share of held buckets on, echoes and pushes by chance cannot be told apart.
const CROWDED: f64 = 0.98;

/// What nodes counted of one class, summed over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassCounts {
    /// Keys held, at the end.
    pub keys_held: f64,
    /// Buckets of the published layout held, at the end.
    pub buckets_held: f64,
    /// Publishes by buckets.
    pub publishes: f64,
    /// Buckets that they went to.
    pub copies: f64,
    /// Pushes that a session received.
    pub useful: f64,
    /// Pushes of the node's own publishes.
    pub echo: f64,
}

/// What all nodes of a cluster counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObservedCluster {
    /// Nodes.
    pub nodes: u32,
    /// How long they counted, in seconds.
    pub seconds: f64,
    /// The bucket counts that they publish by, in the order of the classes.
    pub buckets: [BucketCount; 3],
    /// By class.
    pub classes: [ClassCounts; 3],
    /// Publishes to all nodes at once: they are direct messages.
    pub publishes_to_all: f64,
    /// Frames delivered to sessions.
    pub deliveries: f64,
    /// Sends that Redis was asked about.
    pub limited_sends: f64,
    /// Sessions, at the end.
    pub sessions: f64,
    /// Event loops of all nodes.
    pub workers: f64,
    /// Reads a second of a recovery round, of one node.
    pub repair_reads_per_s: f64,
    /// How users reach nodes.
    pub placement: Placement,
}

impl ObservedCluster {
    /// Returns the load; none if there was no node or no time.
    pub fn load(&self) -> Option<ClusterLoad> {
        if self.nodes == 0 || self.seconds <= 0.0 {
            return None;
        }
        let nodes = f64::from(self.nodes);
        Some(ClusterLoad {
            nodes: self.nodes,
            classes: Class::ALL.map(|class| self.class(class)),
            deliveries_per_s: self.deliveries / self.seconds,
            limited_sends_per_s: self.limited_sends / self.seconds,
            sessions_per_node: self.sessions / nodes,
            workers: (self.workers / nodes).ceil().max(1.0) as u32,
            repair_reads_per_s: self.repair_reads_per_s.max(1.0),
        })
    }

    fn class(&self, class: Class) -> ClassLoad {
        let counts = &self.classes[class as usize];
        let to_all = if class == Class::User { self.publishes_to_all } else { 0.0 };
        let (others, publisher_holds) = self.holders(class, to_all);
        let by_buckets =
            if counts.publishes > 0.0 { counts.copies / counts.publishes } else { 0.0 };
        let usual = if class == Class::User { 2.0 } else { 1.0 };
        // Only what goes to several keys goes to all at once.
        let publishes = counts.publishes + to_all;
        let keys = counts.publishes * by_buckets + to_all * 2.0;
        ClassLoad {
            class,
            keys_per_node: counts.keys_held / f64::from(self.nodes),
            holders: (others + publisher_holds).min(f64::from(self.nodes)),
            publisher_holds,
            publishes_per_s: publishes / self.seconds,
            keys_per_publish: if publishes > 0.0 { keys / publishes } else { usual },
            placement: if class == Class::User { self.placement } else { Placement::Random },
        }
    }

    /// The other nodes that hold a published key, and how often the publisher does. Each bucket
    /// copy is useful on the other nodes that hold its key. A publish to all is useful where either
    /// of its two keys is held.
    fn holders(&self, class: Class, to_all: f64) -> (f64, f64) {
        let counts = &self.classes[class as usize];
        let others = f64::from(self.nodes) - 1.0;
        if others <= 0.0 || counts.copies + to_all <= 0.0 {
            return (0.0, 1.0);
        }
        // The share x of the others that hold a key: copies x + all (2 x - x^2) = useful / others.
        let useful = counts.useful / others;
        let linear = counts.copies + 2.0 * to_all;
        let under = (linear * linear - 4.0 * to_all * useful).max(0.0);
        // The smaller root, in the form that is exact for few publishes to all.
        let share = (2.0 * useful / (linear + under.sqrt())).clamp(0.0, 1.0);
        (others * share, self.publisher_holds(class, to_all, share))
    }

    /// How often the publisher holds a key, supposed that publishes come from sessions. A sender holds
    /// its own key, and the recipient's as any node does; a member holds its room.
    fn supposed(&self, class: Class, share: f64) -> f64 {
        let others = (f64::from(self.nodes) - 1.0) * share;
        match class {
            // Any node holds a key with the probability u: others = nodes * u - (1 + u) / 2.
            Class::User => {
                let any = (others + 0.5) / (f64::from(self.nodes) - 0.5);
                f64::midpoint(1.0, any.min(1.0))
            }
            Class::Room => 1.0,
            Class::Topic => share,
        }
    }

    /// A copy comes back to its publisher if that holds the key, or the bucket by chance. All that
    /// goes to all nodes comes back.
    fn publisher_holds(&self, class: Class, to_all: f64, share: f64) -> f64 {
        let counts = &self.classes[class as usize];
        let buckets = f64::from(self.buckets[class as usize].get());
        let chance = counts.buckets_held / f64::from(self.nodes) / buckets;
        if counts.copies <= 0.0 || chance >= CROWDED {
            return self.supposed(class, share);
        }
        let echo = (counts.echo - to_all) / counts.copies;
        ((echo - chance) / (1.0 - chance)).clamp(0.0, 1.0)
    }
}
