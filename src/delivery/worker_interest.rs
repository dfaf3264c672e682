//! Which workers of a node have sessions that want a key.

use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};

use ahash::AHashMap;
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
    stripes: [RwLock<AHashMap<RoutingKey, u64>>; STRIPES],
    hasher: ahash::RandomState,
    /// Keys that a worker wants, by class.
    held: [AtomicU32; Class::ALL.len()],
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
    fn stripe(&self, key: &RoutingKey) -> &RwLock<AHashMap<RoutingKey, u64>> {
        &self.stripes[self.hasher.hash_one(key) as usize % STRIPES]
    }

    /// Records that a worker wants a key.
    pub fn add(&self, key: &RoutingKey, worker: u32) {
        match self.stripe(key).write().entry(key.clone()) {
            Entry::Occupied(mut mask) => *mask.get_mut() |= 1 << worker,
            Entry::Vacant(place) => {
                place.insert(1 << worker);
                self.held[key.class() as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Records that a worker no longer wants a key.
    pub fn remove(&self, key: &RoutingKey, worker: u32) {
        let mut stripe = self.stripe(key).write();
        if let Some(mask) = stripe.get_mut(key) {
            *mask &= !(1 << worker);
            if *mask == 0 {
                stripe.remove(key);
                self.held[key.class() as usize].fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns how many keys of a class some worker wants.
    pub fn held(&self, class: Class) -> u32 {
        self.held[class as usize].load(Ordering::Relaxed)
    }

    /// The workers that want any of these keys, one bit each.
    pub fn workers(&self, keys: &[RoutingKey]) -> u64 {
        keys.iter().fold(0, |mask, key| {
            mask | self.stripe(key).read().get(key).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
