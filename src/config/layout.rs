//! `[layouts]`: how keys become buckets and buckets become shards.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{Entry, KeyType};
use super::keys::{KeyGroup, Printed, keys};
use super::section::Section;
use super::shard::ShardConfig;
use crate::layout::{BucketCount, BucketCounts};
use crate::redis::RedisAccess;

/// Bucket counts and shards.
#[derive(Clone, Debug)]
pub struct LayoutConfig {
    /// Its name in `routing.publish` and `routing.subscribe`.
    pub name: String,
    /// Buckets of each class.
    pub buckets: BucketCounts,
    /// The Redis shards, in order. None: this node is alone, on the in-memory bus, as one shard.
    pub shards: Vec<ShardConfig>,
}

keys! {
    for BucketCounts {
        user = Buckets,
        room = Buckets,
        topic = Buckets,
    }
}

impl LayoutConfig {
    /// Reads a layout, whose shards have `access` in common.
    pub(super) fn read(s: &mut Section, name: String, access: &RedisAccess) -> Self {
        let buckets = s.section("buckets", BucketCounts::read);
        let shards = s.items("redis", &(0..=1024), |s| ShardConfig::read(s, access));
        s.unique("redis", "name", shards.iter().map(|shard| shard.name.as_str()));
        Self { name, buckets, shards }
    }
}

impl Serialize for LayoutConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut layout = serializer.serialize_map(Some(2))?;
        layout.serialize_entry("buckets", &Printed(&self.buckets))?;
        layout.serialize_entry("redis", &self.shards)?;
        layout.end()
    }
}

/// A number of buckets.
struct Buckets;

impl KeyType<BucketCount> for Buckets {
    fn read(&self, s: &mut Section, key: &'static str) -> BucketCount {
        let buckets = s.integer(key, &(1..=1 << 24));
        BucketCount::new(buckets).unwrap_or_else(|_| {
            s.refuse(key, buckets, "a power of two is required");
            BucketCount::ONE
        })
    }

    fn print<M: SerializeMap>(&self, value: &BucketCount, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&value.get())
    }
}
