//! The layouts of a node: one that it publishes by, several that it subscribes to.
//!
//! While nodes change from one layout to the next, some publish by the old one and some by the new
//! one. A node that subscribes to both receives from all of them, and everything once: a publish
//! goes out by one layout alone.

use smallvec::SmallVec;

use super::{Bucket, Layout};
use crate::domain::RoutingKey;

/// A shard's place among all the shards of a node's layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u32);

/// A bucket's channel, and where it is: the same channel on two shards is two routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketRoute {
    /// The bucket.
    pub bucket: Bucket,
    /// The shard that it is on.
    pub shard: ShardIndex,
}

/// Where a key is published and where it is subscribed to.
///
/// Layouts name their shards. A name is the same shard in all of them, with one connection.
#[derive(Debug, Clone)]
pub struct Layouts {
    shards: Vec<String>,
    published: Placed,
    others: Vec<Placed>,
}

/// A layout with the indices of its shards.
#[derive(Debug, Clone)]
struct Placed {
    layout: Layout,
    places: Vec<ShardIndex>,
}

impl Placed {
    /// Adds the shards of the layout that the list does not hold yet.
    fn among(shards: &mut Vec<String>, layout: Layout) -> Self {
        let mut place = |name: &String| {
            let place = shards.iter().position(|known| known == name).unwrap_or_else(|| {
                shards.push(name.clone());
                shards.len() - 1
            });
            ShardIndex(place as u32)
        };
        let places = layout.shards().iter().map(&mut place).collect();
        Self { layout, places }
    }

    fn route(&self, key: &RoutingKey) -> BucketRoute {
        let bucket = self.layout.bucket_of(key);
        BucketRoute { bucket, shard: self.places[self.layout.place_of(bucket)] }
    }
}

impl Layouts {
    /// The layouts of a node that publishes by `published`, and subscribes to it and to
    /// `subscribed`, which may hold it as well.
    pub fn new(published: Layout, subscribed: impl IntoIterator<Item = Layout>) -> Self {
        let mut shards = Vec::new();
        let published = Placed::among(&mut shards, published);
        let mut others: Vec<Placed> = Vec::new();
        for layout in subscribed {
            if [&published].into_iter().chain(&others).all(|placed| placed.layout != layout) {
                others.push(Placed::among(&mut shards, layout));
            }
        }
        Self { shards, published, others }
    }

    /// The names of all shards, each once. Those of the published layout come first: every node
    /// subscribes to them, in addition to its other layouts.
    pub fn shards(&self) -> &[String] {
        &self.shards
    }

    /// The layout that the node publishes by.
    pub const fn published(&self) -> &Layout {
        &self.published.layout
    }

    /// The different layouts that the node subscribes to, the published one first.
    pub fn subscribed(&self) -> impl Iterator<Item = &Layout> {
        [&self.published].into_iter().chain(&self.others).map(|placed| &placed.layout)
    }

    /// Where a key's publishes go.
    pub fn route(&self, key: &RoutingKey) -> BucketRoute {
        self.published.route(key)
    }

    /// Where a key is subscribed to: its bucket in every layout, each route once. The first is the
    /// one that its publishes take.
    pub fn interest(&self, key: &RoutingKey) -> SmallVec<[BucketRoute; 2]> {
        let mut routes = SmallVec::from_iter([self.route(key)]);
        for other in &self.others {
            let route = other.route(key);
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        routes
    }
}

impl From<Layout> for Layouts {
    /// The layouts of a node that publishes by and subscribes to a single one.
    fn from(layout: Layout) -> Self {
        Self::new(layout, [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{BucketCount, BucketCounts};
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashSet};

    fn layout(buckets: u64, shards: &[&str]) -> Layout {
        let buckets = BucketCounts::all(BucketCount::new(buckets).unwrap());
        Layout::new(buckets, shards.iter().map(ToString::to_string).collect())
    }

    fn key(text: &str) -> RoutingKey {
        RoutingKey::parse(text).unwrap()
    }

    #[test]
    fn layouts_are_the_same_by_content() {
        let old = layout(4, &["r1", "r2"]);
        let same = layout(4, &["r1", "r2"]);
        let turned = layout(4, &["r2", "r1"]);
        let finer = layout(8, &["r1", "r2"]);
        let layouts =
            Layouts::new(old.clone(), [turned.clone(), same, finer.clone(), finer.clone()]);
        assert!(layouts.subscribed().eq([&old, &turned, &finer]));
        assert_eq!(layouts.shards(), ["r1", "r2"]);
    }

    #[test]
    fn more_shards_keep_one_channel_where_it_stays_and_two_where_it_moves() {
        let layouts = Layouts::new(layout(1024, &["r1"]), [layout(1024, &["r1", "r2"])]);
        let mut moved = 0;
        for n in 0..100 {
            let routes = layouts.interest(&key(&format!("user.{n}")));
            assert_eq!(routes[0].shard, ShardIndex(0));
            match routes[1..] {
                [] => {}
                [BucketRoute { bucket, shard }] => {
                    assert_eq!((bucket, shard), (routes[0].bucket, ShardIndex(1)));
                    moved += 1;
                }
                _ => panic!("two layouts have two routes at most"),
            }
        }
        assert!((30..70).contains(&moved), "half of them move, not {moved} of 100");
    }

    #[test]
    fn more_buckets_are_other_channels() {
        let layouts = Layouts::new(layout(65_536, &["r1"]), [layout(1 << 20, &["r1"])]);
        let routes = layouts.interest(&key("user.alice"));
        let found: Vec<_> = routes.iter().map(|it| (it.bucket.of.get(), it.bucket.index)).collect();
        assert_eq!(found, [(65_536, 48_330), (1 << 20, 310_474)]);
    }

    /// Up to four layouts of a few bucket counts over a few shards in any order.
    fn some_layouts() -> impl Strategy<Value = Vec<Layout>> {
        let shards = Just(["r1", "r2", "r3"]).prop_shuffle();
        let one = (0..3_u32, shards, 1..=3_usize);
        let one = one.prop_map(|(power, names, count)| layout(1 << power, &names[..count]));
        prop::collection::vec(one, 1..=4)
    }

    proptest! {
        #[test]
        fn agrees_with_looking_each_layout_up(
            layouts in some_layouts(), number in 0..1000_u32, kind in "user|room|topic",
        ) {
            let key = key(&format!("{kind}.{number}"));
            let set = Layouts::new(layouts[0].clone(), layouts.clone());
            let named = |route: &BucketRoute| (route.bucket, set.shards()[route.shard.0 as usize].clone());
            let looked_up = |layout: &Layout| {
                let bucket = layout.bucket_of(&key);
                (bucket, layout.shards()[layout.place_of(bucket)].clone())
            };
            let routes = set.interest(&key);
            prop_assert_eq!(named(&set.route(&key)), looked_up(&layouts[0]));
            prop_assert_eq!(routes[0], set.route(&key));
            let found: HashSet<_> = routes.iter().map(named).collect();
            prop_assert_eq!(found.len(), routes.len(), "each once");
            prop_assert_eq!(found, layouts.iter().map(looked_up).collect());
            let names: BTreeSet<&String> = layouts.iter().flat_map(Layout::shards).collect();
            prop_assert_eq!(set.shards().iter().collect::<BTreeSet<_>>(), names);
            prop_assert!(set.shards().starts_with(layouts[0].shards()), "the published one's first");
        }
    }
}
