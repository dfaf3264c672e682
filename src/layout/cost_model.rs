//! What a layout costs: the expected number of node events, for keys and sessions spread over
//! nodes.
//!
//! A node subscribes to a bucket if it holds a session of any key in it. Keys are spread over `B`
//! buckets and sessions over `N` nodes at random. So the number of other keys in a key's bucket is
//! binomial, and the expectation has a closed form; no table is simulated.
//!
//! If a load balancer places users by `xxh3_64(key) mod 65,536`, a bucket consists of whole groups of
//! keys, each of which is on one node: `65,536 / B` groups, or a part of one if there are more
//! buckets.

use super::{PublishPlan, jump, key_hash, plan};
use crate::domain::RoutingKey;

/// Buckets of the hash by which a load balancer places users (`xxh3_64(key) mod 65,536`). From this
/// many buckets on, keys of one bucket share that number and hence a node.
const PLACEMENT_BUCKETS: u32 = 65_536;

/// Returns the node, of `nodes`, on which a load balancer places the sessions of a user's key.
pub fn placed_node(key: &RoutingKey, nodes: u32) -> u32 {
    jump(key_hash(key) % u64::from(PLACEMENT_BUCKETS), nodes)
}

/// How users reach nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Each session is on a node drawn at random.
    Random,
    /// All sessions of a user are on the node of that user's placement bucket.
    Bucket,
}

/// Users' keys that a load balancer places: those of one group are on one node.
#[derive(Debug, Clone, Copy)]
pub struct PlacedKeys {
    /// Nodes of the cluster.
    pub nodes: u32,
    /// Keys that a session holds.
    pub keys: f64,
    /// Buckets of the class.
    pub buckets: u32,
}

impl PlacedKeys {
    /// The share of the buckets that a node needs.
    pub fn held(&self) -> f64 {
        self.has_one_of(self.groups())
    }

    /// The probability that a node which does not have a key needs its bucket for another key.
    pub fn held_by_others(&self) -> f64 {
        self.has_one_of(self.groups() - 1.0)
    }

    /// How many groups of keys are in a bucket, at least one.
    fn groups(&self) -> f64 {
        (f64::from(PLACEMENT_BUCKETS) / f64::from(self.buckets)).max(1.0)
    }

    /// The probability that a node has one of so many groups, and a key is in it.
    fn has_one_of(&self, groups: f64) -> f64 {
        // A bucket has a part of a group if there are more buckets than groups.
        let parts = f64::from(PLACEMENT_BUCKETS.max(self.buckets));
        let has_key = 1.0 - (1.0 - 1.0 / parts).powf(self.keys);
        1.0 - (1.0 - has_key / f64::from(self.nodes)).powf(groups)
    }
}

/// The keys of one class, and the sessions that hold them.
#[derive(Debug, Clone, Copy)]
pub struct TopicLoad {
    /// Nodes of the cluster.
    pub nodes: u32,
    /// Keys that at least one session holds.
    pub keys: u32,
    /// Sessions per key.
    pub sessions: u32,
    /// Buckets of the class.
    pub buckets: u32,
    /// How the sessions reach nodes.
    pub placement: Placement,
}

impl TopicLoad {
    /// The probability that a node holds none of one key's sessions.
    fn misses_key(&self) -> f64 {
        let elsewhere = 1.0 - 1.0 / f64::from(self.nodes);
        match self.placement {
            Placement::Random => elsewhere.powi(self.sessions as i32),
            Placement::Bucket => elsewhere,
        }
    }

    /// The probability that a node needs a bucket for none of `others` keys drawn at random, if it
    /// has none of the keys that are known.
    fn misses_mates(&self, others: u32) -> f64 {
        match self.placement {
            Placement::Random => self.misses_all(others),
            Placement::Bucket => 1.0 - self.placed(others).held_by_others(),
        }
    }

    /// The probability that a node needs a bucket for none of `keys` drawn at random.
    fn misses_all(&self, keys: u32) -> f64 {
        let one = (1.0 - self.misses_key()) / f64::from(self.buckets);
        (1.0 - one).powi(keys as i32)
    }

    fn placed(&self, keys: u32) -> PlacedKeys {
        PlacedKeys { nodes: self.nodes, keys: f64::from(keys), buckets: self.buckets }
    }

    /// How many nodes receive a publish to the bucket of `known` given keys.
    pub fn reach(&self, known: u32) -> f64 {
        let mates = self.misses_mates(self.keys.saturating_sub(known));
        let mine = self.misses_key().powi(known as i32);
        f64::from(self.nodes) * (1.0 - mine * mates)
    }

    /// The share of the class's buckets that a node holds.
    pub fn held(&self) -> f64 {
        match self.placement {
            Placement::Random => 1.0 - self.misses_all(self.keys),
            Placement::Bucket => self.placed(self.keys).held(),
        }
    }
}

/// What is sent: direct messages between random users, and events to random topics.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// The users' own keys.
    pub users: TopicLoad,
    /// Direct messages.
    pub messages: u32,
    /// The topics' keys, with `sessions` subscribers each.
    pub topics: TopicLoad,
    /// Events to topics.
    pub events: u32,
}

/// What a workload is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Pushes that nodes receive from the bus, echoes included.
    pub node_events: f64,
    /// Frames delivered to sessions.
    pub deliveries: f64,
    /// Node events of the classic broadcast: every node for every publish.
    pub broadcast: f64,
}

impl Workload {
    /// Returns the expectation, with the plan that nodes choose.
    pub fn predict(&self) -> Prediction {
        let nodes = f64::from(self.users.nodes);
        let (messages, events) = (f64::from(self.messages), f64::from(self.events));
        let message_deliveries = f64::from(2 * self.users.sessions - 1);
        Prediction {
            node_events: messages * self.message_events() + events * self.topics.reach(1),
            deliveries: messages * message_deliveries + events * f64::from(self.topics.sessions),
            broadcast: (messages + events) * nodes,
        }
    }

    /// Node events of one direct message between two users.
    fn message_events(&self) -> f64 {
        let together = 1.0 / f64::from(self.users.buckets);
        let apart = match plan(2, self.users.nodes, self.users.held()) {
            PublishPlan::Buckets => 2.0 * self.users.reach(1),
            PublishPlan::All => f64::from(self.users.nodes),
        };
        together * self.users.reach(2) + (1.0 - together) * apart
    }
}

impl Prediction {
    /// Node events per delivery.
    pub fn per_delivery(&self) -> f64 {
        self.node_events / self.deliveries
    }

    /// Node events per delivery of the classic broadcast.
    pub fn broadcast_per_delivery(&self) -> f64 {
        self.broadcast / self.deliveries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RoutingKey;
    use crate::layout::{Bucket, BucketCount};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::collections::HashSet;

    fn crowd(nodes: u32, keys: u32, sessions: u32, buckets: u32) -> TopicLoad {
        TopicLoad { nodes, keys, sessions, buckets, placement: Placement::Random }
    }

    #[test]
    fn a_million_users_on_a_hundred_nodes() {
        let reach = |buckets| crowd(100, 1_000_000, 2, buckets).reach(1);
        for (buckets, expected) in
            [(4_096, 99.0), (65_536, 28.0), (1_048_576, 3.9), (16_777_216, 2.1)]
        {
            let found = reach(buckets);
            assert!(
                (found - expected).abs() / expected < 0.03,
                "{buckets}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn placement_by_bucket_is_tight_from_65536_on() {
        let placed =
            |buckets| TopicLoad { placement: Placement::Bucket, ..crowd(30, 1_000, 2, buckets) };
        assert!((placed(65_536).reach(1) - 1.0).abs() < 1e-9);
        assert!((placed(1_048_576).reach(1) - 1.0).abs() < 1e-9);
        assert!((placed(1).reach(1) - 30.0).abs() < 1e-6);
    }

    /// The keys of a bucket are in 16 groups, each on one node: it cannot reach 91 nodes.
    #[test]
    fn placed_keys_of_a_full_bucket_are_on_few_nodes() {
        let placed = TopicLoad { placement: Placement::Bucket, ..crowd(100, 1_000_000, 2, 4_096) };
        assert!((placed.reach(1) - 14.9).abs() < 0.1, "{}", placed.reach(1));
        let tight = TopicLoad { buckets: 1_048_576, ..placed };
        assert!((tight.held() * 1_048_576.0 - 6_445.0).abs() < 5.0, "{}", tight.held());
    }

    /// Nodes that subscribe to a key's bucket, counted on real hashes and random places.
    fn counted(crowd: &TopicLoad, seed: u64) -> f64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let of = BucketCount::new(u64::from(crowd.buckets)).unwrap();
        let mut hears: HashSet<(u32, u32)> = HashSet::new();
        let keys = (0..crowd.keys).map(|n| RoutingKey::parse(&format!("user.{n}")).unwrap());
        let keys: Vec<RoutingKey> = keys.collect();
        let buckets: Vec<u32> = keys.iter().map(|key| Bucket::of_key(key, of).index).collect();
        for (key, &bucket) in keys.iter().zip(&buckets) {
            for _ in 0..crowd.sessions {
                let node = match crowd.placement {
                    Placement::Random => rng.random_range(0..crowd.nodes),
                    Placement::Bucket => placed_node(key, crowd.nodes),
                };
                hears.insert((bucket, node));
            }
        }
        let reach =
            |bucket: u32| (0..crowd.nodes).filter(|&n| hears.contains(&(bucket, n))).count();
        buckets.iter().map(|&bucket| reach(bucket)).sum::<usize>() as f64 / f64::from(crowd.keys)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_closed_form_is_what_counting_finds(
            nodes in 2..40_u32, sessions in 1..5_u32, power in 0..14_u32, seed: u64,
            placed: bool,
        ) {
            let placement = if placed { Placement::Bucket } else { Placement::Random };
            let crowd = TopicLoad { placement, ..crowd(nodes, 2_000, sessions, 1 << power) };
            let (found, expected) = (counted(&crowd, seed), crowd.reach(1));
            prop_assert!((found - expected).abs() / expected < 0.05, "{} against {}", found, expected);
        }

        #[test]
        fn full_buckets_are_never_dearer_than_broadcast(
            nodes in 2..200_u32, sessions in 1..5_u32, power in 0..10_u32,
        ) {
            let users = crowd(nodes, 1 << 20, sessions, 1 << power);
            let workload = Workload { users, messages: 10, topics: users, events: 10 };
            let prediction = workload.predict();
            prop_assert!(prediction.node_events <= prediction.broadcast + 1e-6);
        }
    }
}
