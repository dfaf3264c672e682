//! `[redis]`, `[layouts]` and `[routing]`: the layouts, which of them are in use, and how those must fit each
//! other.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;

use super::key_path::KeyPath;
use super::key_type::{NAME, Strings};
use super::keys::{KeyGroup, Printed, keys};
use super::name::is_name;
use super::redis_access::refuse_without_tls;
use super::section::Section;
use super::{LayoutConfig, ShardConfig};
use crate::redis::RedisAccess;

/// Why a layout that is in use exists.
const IN_USE: &str = "a loaded configuration has the layouts that it names";

/// The layouts, and which of them are in use.
#[derive(Clone, Debug)]
pub struct LayoutsConfig {
    /// All of them, by name in byte order.
    pub all: Vec<LayoutConfig>,
    /// Those in use.
    pub choice: LayoutChoice,
    /// What connections to all shards need beyond the URLs.
    pub access: RedisAccess,
}

keys! {
    /// The layouts in use.
    pub struct LayoutChoice {
        /// The one that this node publishes by.
        pub publish: String = NAME,
        /// Those that it subscribes by, including the published one. A change of layout takes two,
        /// and a change of plan in its middle a few more. Each is one more subscription per key.
        pub subscribe: Vec<String> = Strings(1..=4, NAME),
    }
}

/// A shard of a subscribed layout, and the path of its key.
struct Written<'a> {
    path: KeyPath,
    shard: &'a ShardConfig,
}

impl LayoutsConfig {
    /// Returns the layout of this name.
    pub fn named(&self, name: &str) -> Option<&LayoutConfig> {
        self.all.iter().find(|layout| layout.name == name)
    }

    /// Returns the layout that this node publishes by.
    pub fn published(&self) -> &LayoutConfig {
        self.named(&self.choice.publish).expect(IN_USE)
    }

    /// Returns the layouts that this node subscribes by.
    pub fn subscribed(&self) -> impl Iterator<Item = &LayoutConfig> {
        self.choice.subscribe.iter().map(|name| self.named(name).expect(IN_USE))
    }
}

/// The tables `redis`, `layouts` and `routing`.
impl KeyGroup for LayoutsConfig {
    fn read(s: &mut Section) -> Self {
        let access = s.section("redis", RedisAccess::read);
        let all = s.named("layouts", &(1..=8), |s, name| LayoutConfig::read(s, name, &access));
        let choice = s.section("routing", |s| {
            let choice = LayoutChoice::read(s);
            choice.relate(s, &all);
            choice
        });
        choice.relate_shards(s, &all);
        let mut shards = all.iter().flat_map(|layout| &layout.shards).peekable();
        let is_plain = shards.peek().is_some() && !shards.any(ShardConfig::is_encrypted);
        if is_plain && !all.iter().any(|layout| s.is_mistaken_at(&shards_path(layout))) {
            refuse_without_tls(s, &access);
        }
        Self { all, choice, access }
    }

    fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let all: BTreeMap<&str, _> = self.all.iter().map(|it| (it.name.as_str(), it)).collect();
        map.serialize_entry("redis", &Printed(&self.access))?;
        map.serialize_entry("layouts", &all)?;
        map.serialize_entry("routing", &Printed(&self.choice))
    }
}

impl LayoutChoice {
    fn relate(&self, s: &mut Section, layouts: &[LayoutConfig]) {
        let missing = |name: &str| !layouts.iter().any(|layout| layout.name == name);
        if !s.is_mistaken("publish") && missing(&self.publish) {
            s.refuse("publish", format_args!("{:?}", self.publish), &one_of(layouts));
        }
        if s.is_mistaken("subscribe") {
            return;
        }
        for name in self.subscribe.iter().filter(|name| missing(name)) {
            s.refuse("subscribe", format_args!("{name:?}"), &one_of(layouts));
        }
        s.unique("subscribe", "layout", self.subscribe.iter().map(String::as_str));
        if !s.is_mistaken("subscribe") && !s.is_mistaken("publish") {
            self.agree(s);
        }
    }

    fn agree(&self, s: &mut Section) {
        if !self.subscribe.contains(&self.publish) {
            let wanted =
                format!("one of routing.subscribe is required: {}", self.subscribe.join(", "));
            s.refuse("publish", format_args!("{:?}", self.publish), &wanted);
        }
    }

    /// Checks that the shards of the subscribed layouts fit each other, because they share their
    /// connections. `s` is the whole document.
    fn relate_shards(&self, s: &mut Section, layouts: &[LayoutConfig]) {
        let subscribe = KeyPath::from_iter(["routing", "subscribe"]);
        if s.is_mistaken_at(&subscribe) {
            return;
        }
        let named = |name: &String| layouts.iter().find(|layout| layout.name == *name);
        let mut used: Vec<&LayoutConfig> = self.subscribe.iter().filter_map(named).collect();
        used.retain(|layout| !s.is_mistaken_at(&shards_path(layout)));
        self.all_or_none(s, subscribe, &used);
        let written: Vec<Written> = used.iter().flat_map(|layout| written(layout)).collect();
        one_address_a_name(s, &written);
        one_name_a_server(s, &written);
    }

    /// A node has one bus: Redis, or the memory of its process.
    fn all_or_none(&self, s: &mut Section, subscribe: KeyPath, used: &[&LayoutConfig]) {
        let some = used.iter().find(|layout| !layout.shards.is_empty());
        let none = used.iter().find(|layout| layout.shards.is_empty());
        let (Some(some), Some(none)) = (some, none) else { return };
        let (some, none) = (shards_path(some), shards_path(none));
        let wanted = format!(
            "shards in all of them or in none are required, {some} has some, {none} has none"
        );
        s.note(subscribe, format_args!("{:?}", self.subscribe), &wanted);
    }
}

fn one_address_a_name(s: &mut Section, written: &[Written]) {
    let mut seen: BTreeMap<&str, &Written> = BTreeMap::new();
    for one in written {
        let first = *seen.entry(&one.shard.name).or_insert(one);
        let (name, path, address) = (&one.shard.name, one.key(), &one.shard.address);
        if *address != first.shard.address {
            let (other, wanted) = (first.key(), &first.shard.address);
            let is_alike = address.to_string() == wanted.to_string();
            let beside = if is_alike { " with the same keys beside it" } else { "" };
            let wanted = format!(
                "shard {name:?} has one address, {other} = \"{wanted}\"{beside} is required"
            );
            s.note(path, format_args!("\"{address}\""), &wanted);
        }
    }
}

/// What a node publishes to all nodes arrives once per connection, and connections are by name.
fn one_name_a_server(s: &mut Section, written: &[Written]) {
    let mut seen: BTreeMap<String, &Written> = BTreeMap::new();
    for one in written {
        for server in one.shard.address.servers() {
            let first = *seen.entry(server).or_insert(one);
            let (name, path) = (&first.shard.name, one.key());
            if *name != one.shard.name && !s.is_mistaken_at(&path) {
                let wanted =
                    format!("a server other than that of {}, {name:?}, is required", first.path);
                s.note(path, format_args!("\"{}\"", one.shard.address), &wanted);
            }
        }
    }
}

impl Written<'_> {
    /// The key that says where the shard is.
    fn key(&self) -> KeyPath {
        self.path.child(self.shard.address_key())
    }
}

fn written(layout: &LayoutConfig) -> impl Iterator<Item = Written<'_>> {
    let shards = shards_path(layout);
    let place = move |(index, shard)| Written { path: shards.item(index), shard };
    layout.shards.iter().enumerate().map(place)
}

fn shards_path(layout: &LayoutConfig) -> KeyPath {
    KeyPath::from_iter(["layouts", &layout.name, "redis"])
}

fn one_of(layouts: &[LayoutConfig]) -> String {
    let names: Vec<&str> =
        layouts.iter().map(|layout| layout.name.as_str()).filter(|name| is_name(name)).collect();
    format!("one of [layouts] is required: {}", names.join(", "))
}
