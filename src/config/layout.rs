//! `[layouts]`: how keys become buckets and buckets become shards.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::RedisUrl;
use super::section::Section;

const BUCKETS: RangeInclusive<u64> = 1..=1 << 24;
const SHARDS: RangeInclusive<usize> = 0..=1024;

/// Bucket counts and shards.
#[derive(Clone, Debug, Serialize)]
pub struct LayoutConfig {
    /// Its name in `layout.publish` and `layout.subscribe`.
    #[serde(skip)]
    pub name: String,
    /// Buckets of each class.
    pub buckets: BucketsConfig,
    /// The Redis shards, in order. None: this node is alone, on the in-memory bus, as one shard.
    #[serde(rename = "redis")]
    pub shards: Vec<ShardConfig>,
}

/// Buckets of each class of key, powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BucketsConfig {
    /// Class `u`: users' own sessions.
    pub user: u32,
    /// Class `c`: rooms.
    pub room: u32,
    /// Class `t`: topics and presence.
    pub topic: u32,
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
        let buckets = s.section("buckets", BucketsConfig::read);
        let shards = s.items("redis", &SHARDS, ShardConfig::read);
        s.unique("redis", "name", shards.iter().map(|shard| shard.name.as_str()));
        Self { name, buckets, shards }
    }
}

impl BucketsConfig {
    fn read(s: &mut Section) -> Self {
        Self { user: buckets(s, "user"), room: buckets(s, "room"), topic: buckets(s, "topic") }
    }
}

impl ShardConfig {
    fn read(s: &mut Section) -> Option<Self> {
        let name = s.name("name");
        let url = s.sealed("url")?.parse().map_err(|error: super::RedisUrlError| {
            s.report("url", error.to_string());
        });
        Some(Self { name, url: url.ok()? })
    }
}

fn buckets(s: &mut Section, key: &'static str) -> u32 {
    let buckets = s.integer(key, &BUCKETS);
    if !buckets.is_power_of_two() {
        s.refuse(key, buckets, "a power of two is required");
    }
    u32::try_from(buckets).unwrap_or(u32::MAX)
}
