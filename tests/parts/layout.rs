//! What a node's configuration says of layouts.

use crate::harness::RedisServer;

/// The buckets of each class before a change, and after it.
pub const FEW: u32 = 65_536;
pub const MANY: u32 = 1 << 20;

/// A layout by its name.
#[derive(Clone)]
pub struct Named {
    name: &'static str,
    table: String,
}

impl Named {
    /// So many buckets of each class, on these shards in their order.
    pub fn new(name: &'static str, buckets: u32, shards: &[RedisServer]) -> Self {
        Self::reached_by(name, buckets, shards.iter().map(RedisServer::url))
    }

    /// The same, with shards that are reached by these ways.
    pub fn reached_by(
        name: &'static str,
        buckets: u32,
        urls: impl Iterator<Item = String>,
    ) -> Self {
        let shard = |(index, url)| format!("{{ name = \"r{}\", url = {url:?} }}", index + 1);
        let shards: Vec<String> = urls.enumerate().map(shard).collect();
        let table = format!(
            "[layouts.{name}]\nbuckets = {{ user = {buckets}, room = {buckets}, topic = {buckets} }}\n\
             redis = [{}]\n",
            shards.join(", "),
        );
        Self { name, table }
    }
}

/// What a node publishes and hears.
pub fn layouts(publish: &Named, subscribe: &[&Named]) -> String {
    let names: Vec<&str> = subscribe.iter().map(|layout| layout.name).collect();
    let tables: String = subscribe.iter().map(|layout| layout.table.as_str()).collect();
    format!("{tables}[routing]\npublish = {:?}\nsubscribe = {names:?}\n", publish.name)
}
