//! Which workers of a node have sessions that want a key.

use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::domain::{Class, RoutingKey};

/// A node's workers: one bit each.
pub const WORKERS_MAX: u32 = u64::BITS;

/// Locks that the keys are spread over, so that workers rarely contend.
const STRIPES: usize = 64;

/// Keys and the workers that want them. A worker sets its bit *before* the subscribe goes out, so
/// that every push finds the worker that it is for.
#[derive(Debug)]
pub struct WorkerInterest {
    stripes: [RwLock<HashTable<WantedKey>>; STRIPES],
    hasher: ahash::RandomState,
    /// Keys that a worker wants, by class.
    held: [AtomicU32; Class::ALL.len()],
}

/// A key that some worker wants.
#[derive(Debug)]
struct WantedKey {
    key: RoutingKey,
    /// The workers, one bit each.
    workers: u64,
}

impl Default for WorkerInterest {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| RwLock::default()),
            hasher: ahash::RandomState::new(),
            held: Default::default(),
        }
    }
}

impl WorkerInterest {
    /// Returns the stripe of a hash. A table uses the lowest bits and the highest ones, so these are
    /// from the middle.
    const fn stripe(&self, hash: u64) -> &RwLock<HashTable<WantedKey>> {
        &self.stripes[(hash >> 32) as usize % STRIPES]
    }

    /// Records that a worker wants a key.
    pub fn add(&self, key: &RoutingKey, worker: u32) {
        let hash = self.hasher.hash_one(key);
        let mut stripe = self.stripe(hash).write();
        if let Some(wanted) = stripe.find_mut(hash, |wanted| wanted.key == *key) {
            wanted.workers |= 1 << worker;
            return;
        }
        let wanted = WantedKey { key: key.clone(), workers: 1 << worker };
        stripe.insert_unique(hash, wanted, |wanted| self.hasher.hash_one(&wanted.key));
        self.held[key.class() as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a worker no longer wants a key.
    pub fn remove(&self, key: &RoutingKey, worker: u32) {
        let hash = self.hasher.hash_one(key);
        let mut stripe = self.stripe(hash).write();
        let Ok(mut found) = stripe.find_entry(hash, |wanted| wanted.key == *key) else { return };
        found.get_mut().workers &= !(1 << worker);
        if found.get().workers == 0 {
            found.remove();
            self.held[key.class() as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns how many keys of a class some worker wants.
    pub fn held(&self, class: Class) -> u32 {
        self.held[class as usize].load(Ordering::Relaxed)
    }

    /// The workers that want any of these keys, one bit each.
    pub fn workers(&self, keys: &[RoutingKey]) -> u64 {
        keys.iter().fold(0, |workers, key| workers | self.workers_of(key))
    }

    fn workers_of(&self, key: &RoutingKey) -> u64 {
        let hash = self.hasher.hash_one(key);
        let stripe = self.stripe(hash).read();
        stripe.find(hash, |wanted| wanted.key == *key).map_or(0, |wanted| wanted.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn is_a_map_from_keys_to_workers(
            changes in prop::collection::vec((any::<bool>(), 0..200_u32, 0..4_u32), 0..600),
        ) {
            let (interest, mut all) = (WorkerInterest::default(), BTreeMap::<u32, u64>::new());
            let key = |number| RoutingKey::parse(&format!("topic.{number}")).unwrap();
            for (adds, number, worker) in changes {
                let workers = all.entry(number).or_default();
                if adds {
                    *workers |= 1 << worker;
                    interest.add(&key(number), worker);
                } else {
                    *workers &= !(1 << worker);
                    interest.remove(&key(number), worker);
                }
            }
            all.retain(|_, workers| *workers != 0);
            prop_assert_eq!(interest.held(Class::Topic) as usize, all.len());
            for number in 0..200 {
                let wanted = all.get(&number).copied().unwrap_or_default();
                prop_assert_eq!(interest.workers(&[key(number)]), wanted);
            }
        }
    }

    #[test]
    fn bits_come_and_go() {
        let worker_interest = WorkerInterest::default();
        let [a, b] = ["user.a", "user.b"].map(|key| RoutingKey::parse(key).unwrap());
        worker_interest.add(&a, 0);
        worker_interest.add(&a, 63);
        worker_interest.add(&b, 2);
        assert_eq!(worker_interest.workers(&[a.clone(), b.clone()]), 1 << 63 | 0b101);
        assert_eq!(worker_interest.held(Class::User), 2, "a key of two workers is one");
        worker_interest.remove(&a, 63);
        worker_interest.remove(&a, 0);
        worker_interest.remove(&a, 5);
        assert_eq!(worker_interest.workers(&[a]), 0);
        assert_eq!((worker_interest.held(Class::User), worker_interest.held(Class::Room)), (1, 0));
        assert!(
            worker_interest.stripes.iter().map(|stripe| stripe.read().len()).sum::<usize>() == 1
        );
    }
}
