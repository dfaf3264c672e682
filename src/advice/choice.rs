//! Which bucket counts and how many shards to choose.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{BucketCost, ClassLoad, ClusterLoad, ShardCost};
use crate::domain::Class;
use crate::layout::{BUCKETS_MAX, BucketCount, BucketCounts};

/// A reach within this factor of the least is as good: a change of layout is three rolls.
const AS_GOOD: f64 = 1.05;

/// The share of a core that a shard may need at most, so that bursts and failovers fit.
const SHARD_CPU_MAX: f64 = 0.5;

/// Seconds of CPU that a shard may need at most to take all subscriptions again. While it does, what
/// is published to it waits.
const SUBSCRIBE_S_MAX: f64 = 10.0;

/// Most shards of a layout.
const SHARDS_MAX: f64 = 1024.0;

/// The powers of two that are shown: 1, 256, 4,096, and so on.
const SHOWN: [u32; 7] = [0, 8, 12, 16, 18, 20, 24];

/// Why a class keeps its count, or changes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// Nothing is published to its keys.
    Silent,
    /// There is one node, which receives everything anyhow.
    OneNode,
    /// No count reaches 5 % fewer nodes.
    AsGood {
        /// The least reach, as a share of what it has.
        least: f64,
    },
    /// Messages go to all nodes at once, and that is cheaper on so few nodes.
    ToAll,
    /// It saves node events.
    Saves {
        /// Node events afterwards, as a share of those before.
        left: f64,
    },
    /// No layout is in force: it is the smallest count within 5 % of the least reach.
    Smallest,
    /// No layout is in force, and no key of the class is planned.
    Unplanned,
}

/// What an advice starts from.
#[derive(Debug, Clone, Copy)]
pub enum Baseline<'a> {
    /// No layout is in force. A class of which nothing is planned keeps its shipped count.
    Shipped(&'a BucketCounts),
    /// A layout is in force: its counts and its number of shards.
    InForce(&'a BucketCounts, u32),
}

impl Baseline<'_> {
    fn shards(self) -> Option<u32> {
        match self {
            Self::Shipped(_) => None,
            Self::InForce(_, shards) => Some(shards),
        }
    }

    fn count_now(self, class: Class) -> Option<BucketCount> {
        match self {
            Self::Shipped(_) => None,
            Self::InForce(buckets, _) => Some(buckets.of(class)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| (1.0 - share) * 100.0;
        match self {
            Self::Silent => f.write_str("leave it: nothing is published to it"),
            Self::OneNode => f.write_str("leave it: one node receives everything anyhow"),
            Self::AsGood { least } => write!(
                f,
                "leave it: with {BUCKETS_MAX} buckets a publish would reach {:.1} % fewer nodes, and \
                 under 5 % is not worth three rolls",
                percent(*least).max(0.0)
            ),
            Self::ToAll => f.write_str(
                "leave it: on so few nodes one publish to all is cheaper than one to each bucket",
            ),
            Self::Saves { left } => {
                write!(f, "it saves {:.1} % of its node events", percent(*left))
            }
            Self::Smallest => {
                f.write_str("the smallest that reaches within 5 % of the fewest nodes")
            }
            Self::Unplanned => f.write_str("as shipped: no key of it is planned"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The advice for one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassAdvice {
    /// Its name: `user`, `room` or `topic`.
    pub class: &'static str,
    /// The count now, if it is known.
    pub now: Option<u32>,
    /// The count to choose.
    pub buckets: u32,
    /// Why.
    pub why: Reason,
    /// What other counts cost, and these two.
    pub costs: Vec<BucketCost>,
}

/// The advice for a layout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// By class.
    pub classes: Vec<ClassAdvice>,
    /// What it costs the shards.
    pub shards: ShardCost,
    /// Shards now, if they are known.
    pub shards_now: Option<u32>,
    /// Node events a delivery now, if the layout is known.
    pub node_events_per_delivery_now: Option<f64>,
    /// Node events a delivery by this advice.
    pub node_events_per_delivery: f64,
    /// The counts to choose.
    #[serde(skip)]
    pub buckets: BucketCounts,
}

impl Advice {
    /// Whether anything is to be changed about a known layout.
    pub fn is_change(&self) -> bool {
        let changes = |class: &ClassAdvice| class.now.is_some_and(|now| now != class.buckets);
        self.classes.iter().any(changes)
            || self.shards_now.is_some_and(|now| now != self.shards.shards)
    }
}

/// Returns the advice for a load.
pub fn advise(load: &ClusterLoad, baseline: Baseline) -> Advice {
    let chosen = load.classes.each_ref().map(|class| choose(class, load.nodes, baseline));
    let [user, room, topic] = chosen.map(|(buckets, _)| buckets);
    let buckets = BucketCounts { user, room, topic };
    let classes = load.classes.iter().zip(chosen).map(|(class, (buckets, why))| {
        let now = baseline.count_now(class.class);
        ClassAdvice {
            class: class.class.name(),
            now: now.map(BucketCount::get),
            buckets: buckets.get(),
            why,
            costs: costs(class, load.nodes, [Some(buckets), now]),
        }
    });
    let alone = load.shard_cost(&buckets, 1);
    let needed = (alone.cpu / SHARD_CPU_MAX).max(alone.subscribe_s / SUBSCRIBE_S_MAX);
    // Shards that are there are kept: fewer would save nothing here.
    let shards = (needed.ceil().clamp(1.0, SHARDS_MAX) as u32).max(baseline.shards().unwrap_or(1));
    let events_now = match baseline {
        Baseline::Shipped(_) => None,
        Baseline::InForce(now, _) => Some(load.node_events_per_delivery(now)),
    };
    Advice {
        classes: classes.collect(),
        shards: load.shard_cost(&buckets, shards),
        shards_now: baseline.shards(),
        node_events_per_delivery_now: events_now,
        node_events_per_delivery: load.node_events_per_delivery(&buckets),
        buckets,
    }
}

/// Chooses by the nodes that a publish to a bucket reaches. Nodes may do better by publishing to all
/// at once; a class for which they do that is left as it is, and none is brought to it: it disturbs
/// every node.
fn choose(load: &ClassLoad, nodes: u32, baseline: Baseline) -> (BucketCount, Reason) {
    let reach = |buckets| load.reach(nodes, buckets);
    let least = powers().map(reach).fold(f64::INFINITY, f64::min);
    let mut enough = powers().filter(|buckets| reach(*buckets) <= least * AS_GOOD);
    let smallest = enough.next().unwrap_or(BucketCount::ONE);
    let now = match baseline {
        Baseline::Shipped(shipped) if load.keys_per_node <= 0.0 && load.publishes_per_s <= 0.0 => {
            return (shipped.of(load.class), Reason::Unplanned);
        }
        Baseline::Shipped(_) => return (smallest, Reason::Smallest),
        Baseline::InForce(now, _) => now.of(load.class),
    };
    let events = |buckets| load.per_second(nodes, buckets).1;
    let (before, after) = (events(now), events(smallest));
    if before <= 0.0 {
        (now, Reason::Silent)
    } else if nodes <= 1 {
        (now, Reason::OneNode)
    } else if reach(now) <= least * AS_GOOD {
        (now, Reason::AsGood { least: least / reach(now) })
    } else if after >= before {
        (now, Reason::ToAll)
    } else {
        (smallest, Reason::Saves { left: after / before })
    }
}

/// All counts that a class may have, from the smallest on.
fn powers() -> impl Iterator<Item = BucketCount> {
    (0..=BUCKETS_MAX.trailing_zeros()).filter_map(|power| BucketCount::new(1 << power).ok())
}

fn costs(load: &ClassLoad, nodes: u32, more: [Option<BucketCount>; 2]) -> Vec<BucketCost> {
    let shown = SHOWN.iter().filter_map(|power| BucketCount::new(1 << power).ok());
    let mut counts: Vec<BucketCount> = shown.chain(more.into_iter().flatten()).collect();
    counts.sort_unstable();
    counts.dedup();
    counts.into_iter().map(|buckets| BucketCost::of(load, nodes, buckets)).collect()
}

#[cfg(test)]
mod tests;
