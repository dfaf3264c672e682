//! How one publish goes out: to the buckets of its keys, or once to all.

/// How a publish goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishPlan {
    /// One publish per bucket.
    Buckets,
    /// One publish that every node receives, on `all` of the first key's shard.
    All,
}

/// Returns the cheaper plan for a publish to `buckets` channels among `nodes` live nodes, when a
/// node holds the share `held` of the class's buckets. A publish costs one, and one more for each
/// node that receives it: `k (1 + N p)` by buckets, `1 + N` by one to all.
///
/// `p` is the average over all buckets, but publishes go to buckets that some node needs. Where
/// most buckets are empty, more nodes receive a publish than `p` predicts: up to one per session of
/// the key. If there are fewer nodes than recipient sessions, a direct message by buckets may then
/// cost more than broadcast. It is still worth it: nodes that it is not for stay undisturbed.
pub fn plan(buckets: usize, nodes: u32, held: f64) -> PublishPlan {
    let nodes = f64::from(nodes);
    if buckets as f64 * (1.0 + nodes * held) <= 1.0 + nodes {
        PublishPlan::Buckets
    } else {
        PublishPlan::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn full_buckets_make_a_dm_one_publish() {
        assert_eq!(plan(2, 8, 1.0), PublishPlan::All);
        assert_eq!(plan(2, 8, 0.05), PublishPlan::Buckets);
        assert_eq!(plan(1, 8, 1.0), PublishPlan::Buckets, "one bucket is never dearer than all");
        assert_eq!(
            plan(2, 1, 0.0),
            PublishPlan::Buckets,
            "two publishes against one that a node hears"
        );
    }

    proptest! {
        #[test]
        fn takes_the_cheaper_of_the_two(k in 1..10_usize, n in 1..500_u32, held in 0.0..=1.0_f64) {
            let by_buckets = k as f64 * (1.0 + f64::from(n) * held);
            let broadcast = 1.0 + f64::from(n);
            let cost = match plan(k, n, held) { PublishPlan::Buckets => by_buckets, PublishPlan::All => broadcast };
            prop_assert!(cost <= broadcast && cost <= by_buckets.max(broadcast));
            prop_assert!(cost <= by_buckets + 1e-9 || (cost - broadcast).abs() < 1e-9);
        }
    }
}
