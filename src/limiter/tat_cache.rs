//! A bounded memory of theoretical arrival times by key.

use std::collections::BTreeSet;
use std::hash::Hash;

use ahash::AHashMap;

/// How many times in the past are forgotten at each put. It is more than are added, so that the
/// memory shrinks when it can.
const FORGOTTEN_A_PUT: usize = 2;

/// A time for each key. A time in the past means nothing and is forgotten. If there are too many,
/// the earliest goes first, because forgetting it gives back least.
#[derive(Debug)]
pub(super) struct TatCache<K> {
    times: AHashMap<K, u64>,
    order: BTreeSet<(u64, K)>,
    max: usize,
}

impl<K: Clone + Eq + Hash + Ord> TatCache<K> {
    pub(super) fn new(max: usize) -> Self {
        Self { times: AHashMap::new(), order: BTreeSet::new(), max }
    }

    /// Returns the time of a key; 0 if there is none.
    pub(super) fn get(&self, key: &K) -> u64 {
        self.times.get(key).copied().unwrap_or_default()
    }

    /// Sets the time of a key.
    pub(super) fn put(&mut self, key: &K, time: u64, now: u64) {
        if let Some(old) = self.times.insert(key.clone(), time) {
            self.order.remove(&(old, key.clone()));
        }
        self.order.insert((time, key.clone()));
        for _ in 0..FORGOTTEN_A_PUT {
            let over = self.times.len() > self.max;
            if self.order.first().is_some_and(|&(time, _)| time <= now || over) {
                let (_, key) = self.order.pop_first().expect("there is a first");
                self.times.remove(&key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.times.len(), self.order.len());
        self.times.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_earliest_goes_first() {
        let mut cache = TatCache::new(2);
        cache.put(&"late", 30, 0);
        cache.put(&"early", 10, 0);
        cache.put(&"middle", 20, 0);
        assert_eq!(["early", "middle", "late"].map(|key| cache.get(&key)), [0, 20, 30]);
        cache.put(&"last", 40, 25);
        assert_eq!((cache.get(&"middle"), cache.get(&"late"), cache.len()), (0, 30, 2));
    }

    proptest! {
        #[test]
        fn is_a_map_that_stays_small(
            max in 1..5_usize,
            puts in prop::collection::vec((0..9_u8, 0..100_u64), 0..80),
        ) {
            let (mut cache, mut all) = (TatCache::new(max), std::collections::BTreeMap::new());
            for (now, (key, ahead)) in puts.into_iter().enumerate() {
                let now = now as u64;
                cache.put(&key, now + ahead, now);
                all.insert(key, now + ahead);
                prop_assert!(cache.len() <= max);
                for (key, time) in &all {
                    prop_assert!([0, *time].contains(&cache.get(key)));
                }
                let live = all.values().filter(|&&time| time > now).count();
                let kept = all.iter().filter(|(key, time)| **time > now && cache.get(key) == **time).count();
                prop_assert!(live > max || kept == live || kept == cache.len());
            }
        }
    }
}
