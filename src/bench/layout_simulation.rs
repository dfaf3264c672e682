//! `bench layout`: what `bench fanout` measures, without sockets: users are placed, keys are hashed
//! by the real layout, and node events are counted by the real plan. So it reaches clusters that do
//! not fit on a machine.

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;

use super::fanout_load::{FanoutLoad, FanoutSetup, user_key};
use super::report::TableRow;
use crate::domain::RoutingKey;
use crate::layout::{Bucket, BucketCount, PublishPlan, plan};

/// A cluster and its load.
#[derive(Debug, Clone)]
pub struct LayoutSimulation {
    /// Nodes.
    pub nodes: u32,
    /// The load.
    pub load: FanoutLoad,
}

/// What one layout costs.
#[derive(Debug, Clone, Serialize)]
pub struct LayoutRow {
    /// What was counted.
    #[serde(flatten)]
    pub setup: FanoutSetup,
    /// Frames for sessions, `sent` not counted.
    pub delivered: u64,
    /// Pushes that nodes would receive from the bus, echoes counted.
    pub node_events: u64,
    /// Node events per delivery.
    pub node_events_per_delivery: f64,
    /// The prediction for the layout.
    pub predicted: f64,
    /// The same if every node received everything.
    pub broadcast: f64,
    /// Buckets that a node subscribes to, both classes together.
    pub subscriptions_per_node: f64,
}

impl TableRow for LayoutRow {
    const HEADERS: &'static [&'static str] = &[
        "nodes",
        "buckets",
        "placement",
        "delivered",
        "node events",
        "a delivery",
        "predicted",
        "broadcast",
        "subscriptions a node",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.setup.nodes.to_string(),
            self.setup.buckets.to_string(),
            self.setup.placement.to_owned(),
            self.delivered.to_string(),
            self.node_events.to_string(),
            format!("{:.3}", self.node_events_per_delivery),
            format!("{:.3}", self.predicted),
            format!("{:.3}", self.broadcast),
            format!("{:.0}", self.subscriptions_per_node),
        ]
    }
}

/// Which node needs which bucket of a class: each pair once, in order.
struct NeededBuckets(Vec<(u32, u32)>);

impl NeededBuckets {
    fn new(mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        Self(pairs)
    }

    /// How many nodes receive a publish to a bucket.
    fn reach(&self, bucket: u32) -> u64 {
        let first = self.0.partition_point(|(needed, _)| *needed < bucket);
        let behind = self.0.partition_point(|(needed, _)| *needed <= bucket);
        (behind - first) as u64
    }

    /// The share of `buckets` that each node subscribes to.
    fn held(&self, nodes: u32, buckets: BucketCount) -> Vec<f64> {
        let mut held = vec![0.0; nodes as usize];
        for (_, node) in &self.0 {
            held[*node as usize] += 1.0 / f64::from(buckets.get());
        }
        held
    }
}

/// A class of keys: the bucket of each, and who needs them.
struct KeyClass {
    buckets: Vec<u32>,
    needed: NeededBuckets,
}

impl LayoutSimulation {
    /// Counts under one bucket count.
    pub fn run(&self, buckets: BucketCount) -> LayoutRow {
        let mut draws = self.load.draws();
        let places = self.load.places(self.nodes, &mut draws);
        let users = self.users(&places, buckets);
        let topics = self.topics(&places, buckets, &mut draws);
        let messages = self.message_events(&users, &places, buckets, &mut draws);
        let events: u64 = (0..self.load.events)
            .map(|_| {
                topics.needed.reach(topics.buckets[draws.random_range(0..topics.buckets.len())])
            })
            .sum();
        let subscriptions = users.needed.0.len() + topics.needed.0.len();
        self.row(buckets, messages + events, subscriptions)
    }

    fn users(&self, places: &[u32], buckets: BucketCount) -> KeyClass {
        let of = |user| Bucket::of_key(&user_key(user), buckets).index;
        let indexes: Vec<u32> = (0..self.load.users).map(of).collect();
        let sessions = places.chunks(self.load.devices as usize).zip(&indexes);
        let pairs = sessions.flat_map(|(nodes, bucket)| nodes.iter().map(|node| (*bucket, *node)));
        let needed = NeededBuckets::new(pairs.collect());
        KeyClass { buckets: indexes, needed }
    }

    /// The first devices of users at random subscribe.
    fn topics(&self, places: &[u32], buckets: BucketCount, draws: &mut StdRng) -> KeyClass {
        let (mut indexes, mut pairs) = (Vec::new(), Vec::new());
        for topic in 0..self.load.topics {
            let key = RoutingKey::parse(&format!("topic.t{topic}")).expect("it is a key");
            let bucket = Bucket::of_key(&key, buckets).index;
            indexes.push(bucket);
            for user in self.load.subscribers_of_topic(draws) {
                pairs.push((bucket, places[user * self.load.devices as usize]));
            }
        }
        KeyClass { buckets: indexes, needed: NeededBuckets::new(pairs) }
    }

    /// Each message is from a session of one user to another user.
    fn message_events(
        &self,
        users: &KeyClass,
        places: &[u32],
        buckets: BucketCount,
        draws: &mut StdRng,
    ) -> u64 {
        let held = users.needed.held(self.nodes, buckets);
        let mut events = 0;
        for _ in 0..self.load.messages {
            let (sender, session) = self.load.sender(draws);
            let other = self.load.receiver(sender, draws);
            let (mine, theirs) = (users.buckets[sender as usize], users.buckets[other as usize]);
            let node = places[session as usize] as usize;
            events += match plan(2, self.nodes, held[node]) {
                PublishPlan::All => u64::from(self.nodes),
                PublishPlan::Buckets if mine == theirs => users.needed.reach(mine),
                PublishPlan::Buckets => users.needed.reach(mine) + users.needed.reach(theirs),
            };
        }
        events
    }

    fn row(&self, buckets: BucketCount, node_events: u64, subscriptions: usize) -> LayoutRow {
        let prediction = self.load.workload(self.nodes, buckets.get()).predict();
        LayoutRow {
            setup: self.load.setup(self.nodes, buckets.get()),
            delivered: prediction.deliveries as u64,
            node_events,
            node_events_per_delivery: node_events as f64 / prediction.deliveries.max(1.0),
            predicted: prediction.per_delivery(),
            broadcast: prediction.broadcast_per_delivery(),
            subscriptions_per_node: subscriptions as f64 / f64::from(self.nodes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Placement;

    fn simulation(nodes: u32, placement: Placement) -> LayoutSimulation {
        let load = FanoutLoad {
            placement,
            users: 10_000,
            devices: 2,
            topics: 1_000,
            subscribers: 4,
            messages: 10_000,
            events: 5_000,
            seed: 1,
        };
        LayoutSimulation { nodes, load }
    }

    #[test]
    fn counting_finds_what_the_arithmetic_says() {
        for nodes in [30, 1_000] {
            for placement in [Placement::Random, Placement::Bucket] {
                for power in [6, 12, 20] {
                    let buckets = BucketCount::new(1 << power).unwrap();
                    let row = simulation(nodes, placement).run(buckets);
                    let ratio = row.node_events_per_delivery / row.predicted;
                    assert!((ratio - 1.0).abs() < 0.02, "{ratio}: {row:?}");
                }
            }
        }
    }

    #[test]
    fn one_bucket_is_broadcast() {
        let row = simulation(30, Placement::Random).run(BucketCount::ONE);
        assert!((row.node_events_per_delivery - row.broadcast).abs() < 1e-9, "{row:?}");
        assert!((row.subscriptions_per_node - 2.0).abs() < 1e-9, "{row:?}");
    }
}
