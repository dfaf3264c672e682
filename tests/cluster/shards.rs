//! Where keys belong in a demo's layout, told by the library's arithmetic and not by a node.

use narrowcast::domain::RoutingKey;
use narrowcast::layout::{Bucket, BucketCount, BucketCounts, Layout, Layouts};
use narrowcast::redis::Channels;

/// The buckets of each class in the default layout.
pub const BUCKETS: u64 = 1 << 20;

pub fn layout(buckets: u64, shards: usize) -> Layouts {
    let count = BucketCount::new(buckets).expect("a power of two");
    let shards = (0..shards).map(|shard| format!("r{}", shard + 1));
    Layout::new(BucketCounts::all(count), shards.collect()).into()
}

pub fn key(text: &str) -> RoutingKey {
    RoutingKey::parse(text).expect("a key")
}

/// The bucket of a key in the default layout.
pub fn bucket(text: &str) -> Bucket {
    layout(BUCKETS, 1).route(&key(text)).bucket
}

/// The channel of a key in a layout of this many buckets.
pub fn channel(text: &str, buckets: u64) -> String {
    let bucket = layout(buckets, 1).route(&key(text)).bucket;
    Channels::new("main").bucket(bucket).to_string()
}

/// The first of `name-0`, `name-1`… whose key of this kind is on a shard of two, the first or
/// the second.
pub fn name_on(shard: u32, kind: &str, name: &str) -> String {
    let layout = layout(BUCKETS, 2);
    let on = |name: &String| layout.route(&key(&format!("{kind}.{name}"))).shard.0 == shard;
    (0..100).map(|n| format!("{name}-{n}")).find(on).expect("every second one is")
}
