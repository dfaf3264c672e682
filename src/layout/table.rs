//! A layout: how many buckets each class has, and which shards hold them.

use std::fmt;

use super::{Bucket, BucketCount, jump, key_hash};
use crate::domain::{Class, RoutingKey};

/// The bucket counts of the three classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketCounts {
    /// Of users' own keys.
    pub user: BucketCount,
    /// Of rooms.
    pub room: BucketCount,
    /// Of topics and presence.
    pub topic: BucketCount,
}

impl BucketCounts {
    /// The same count for every class.
    pub const fn all(count: BucketCount) -> Self {
        Self { user: count, room: count, topic: count }
    }

    /// The count of a class.
    pub const fn of(&self, class: Class) -> BucketCount {
        match class {
            Class::User => self.user,
            Class::Room => self.room,
            Class::Topic => self.topic,
        }
    }
}

/// Who publishes where. Two layouts are the same if their contents are. A shard is its name; its
/// URL is a setting of each node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    buckets: BucketCounts,
    shards: Vec<String>,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BucketCounts { user, room, topic } = &self.buckets;
        let counts = [user, room, topic].map(|count| count.get());
        let [user, room, topic] = counts;
        let shards = self.shards.join(", ");
        write!(f, "{{ user = {user}, room = {room}, topic = {topic} on {shards} }}")
    }
}

impl Layout {
    /// A layout of at least one shard.
    ///
    /// # Panics
    /// If `shards` is empty: the configuration never makes such a layout.
    pub fn new(buckets: BucketCounts, shards: Vec<String>) -> Self {
        assert!(!shards.is_empty(), "a layout has at least one shard");
        Self { buckets, shards }
    }

    /// The bucket counts.
    pub const fn buckets(&self) -> &BucketCounts {
        &self.buckets
    }

    /// The shards' names, in order.
    pub fn shards(&self) -> &[String] {
        &self.shards
    }

    /// A key's bucket.
    pub fn bucket_of(&self, key: &RoutingKey) -> Bucket {
        Bucket::of_key(key, self.buckets.of(key.class()))
    }

    /// The index in the list of the shard that a bucket belongs to.
    pub fn place_of(&self, bucket: Bucket) -> usize {
        jump(u64::from(bucket.index), self.shards.len() as u32) as usize
    }
}

/// The worker that holds a user's sessions on a node of `workers`. It uses the whole hash of the
/// user's key, so it does not depend on any layout.
pub fn worker_of(user: &RoutingKey, workers: u32) -> u32 {
    jump(key_hash(user), workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shards: u32) -> Layout {
        let buckets = BucketCounts::all(BucketCount::new(1 << 20).unwrap());
        Layout::new(buckets, (0..shards).map(|n| format!("r{n}")).collect())
    }

    #[test]
    fn appending_a_shard_moves_only_its_share() {
        let keys: Vec<RoutingKey> =
            (0..10_000).map(|n| RoutingKey::parse(&format!("user.{n}")).unwrap()).collect();
        let (two, three) = (layout(2), layout(3));
        let place = |layout: &Layout, key: &RoutingKey| layout.place_of(layout.bucket_of(key));
        let moved = keys.iter().filter(|key| place(&two, key) != place(&three, key));
        let moved = moved.count();
        assert!((3_000..3_700).contains(&moved), "a third moves, not {moved} of 10,000");
        for key in &keys {
            assert!(place(&two, key) == place(&three, key) || place(&three, key) == 2);
        }
    }

    #[test]
    fn classes_have_their_own_counts() {
        let count = |count| BucketCount::new(count).unwrap();
        let buckets = BucketCounts { user: count(1), room: count(2), topic: count(4) };
        let layout = Layout::new(buckets, vec!["r1".into()]);
        for (key, of) in [("user.a", 1), ("room.a", 2), ("topic.a", 4), ("presence.a", 4)] {
            assert_eq!(layout.bucket_of(&RoutingKey::parse(key).unwrap()).of.get(), of, "{key}");
        }
    }

    #[test]
    fn users_spread_over_workers() {
        let mut loads = [0; 3];
        for n in 0..3_000 {
            loads[worker_of(&RoutingKey::parse(&format!("user.{n}")).unwrap(), 3) as usize] += 1;
        }
        assert!(loads.iter().all(|load| (900..1_100).contains(load)), "{loads:?}");
    }
}
