//! Where a publish goes: the shards and buckets of its keys.

use smallvec::SmallVec;

use super::Fanout;
use crate::domain::RoutingKey;
use crate::layout::{Bucket, PublishPlan, ShardIndex, plan};

/// One publish to the bus, and the keys that it is for.
#[derive(Debug)]
pub struct PublishTarget {
    pub(super) shard: ShardIndex,
    /// The bucket; `None` publishes to all of them.
    pub(super) bucket: Option<Bucket>,
    pub(super) keys: SmallVec<[RoutingKey; 2]>,
}

impl Fanout {
    /// Returns how a publish for these keys, all of one class, goes to the bus.
    pub fn targets(&self, keys: &[RoutingKey]) -> SmallVec<[PublishTarget; 2]> {
        let mut targets = self.buckets(keys);
        let class = keys[0].class();
        let held = self.services.cluster.interest.held_share(class);
        match plan(targets.len(), self.services.cluster.live_nodes(), held) {
            PublishPlan::Buckets => {
                self.services.metrics.shards.published_to_buckets(class, targets.len());
            }
            PublishPlan::All => {
                self.services.metrics.shards.publishes_to_all.inc();
                targets.truncate(1);
                targets[0].bucket = None;
                targets[0].keys = keys.into();
            }
        }
        targets
    }

    /// Returns one target per bucket: keys that share a bucket share a publish.
    fn buckets(&self, keys: &[RoutingKey]) -> SmallVec<[PublishTarget; 2]> {
        let mut targets = SmallVec::<[PublishTarget; 2]>::new();
        for key in keys {
            let route = self.services.cluster.layouts.route(key);
            match targets.iter_mut().find(|target| target.bucket == Some(route.bucket)) {
                Some(target) => target.keys.push(key.clone()),
                None => targets.push(PublishTarget {
                    shard: route.shard,
                    bucket: Some(route.bucket),
                    keys: SmallVec::from_iter([key.clone()]),
                }),
            }
        }
        targets
    }
}
