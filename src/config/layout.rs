//! `[layouts]`: how keys become buckets and buckets become shards.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{Entry, KeyType, NAME};
use super::keys::{KeyGroup, Printed, keys};
use super::section::Section;
use crate::layout::{BucketCount, BucketCounts};
use crate::redis::{RedisUrl, RedisUrlError};

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

/// One Redis primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShardConfig {
    /// Its name, the same on every node; unique in its layout, and the same shard in every layout.
    pub name: String,
    /// Its address. It may differ between nodes.
    pub url: RedisUrl,
}

impl LayoutConfig {
    pub(super) fn read(s: &mut Section, name: String) -> Self {
        let buckets = s.section("buckets", BucketCounts::read);
        let shards = s.items("redis", &(0..=1024), ShardConfig::read);
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

impl ShardConfig {
    fn read(s: &mut Section) -> Option<Self> {
        let name = NAME.read(s, "name");
        let url = s.sealed("url")?.parse().map_err(|error: RedisUrlError| {
            s.report("url", error.to_string());
        });
        Some(Self { name, url: url.ok()? })
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
