//! A bounded number of permits for each key.

use std::hash::Hash;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

/// How many permits each key has taken. A key without permits is not listed.
#[derive(Debug)]
pub struct KeyedPermits<K> {
    max: usize,
    taken: Mutex<AHashMap<K, usize>>,
}

/// A permit of a key, given back when it is dropped.
#[derive(Debug)]
pub struct KeyedPermit<K: Eq + Hash> {
    permits: Arc<KeyedPermits<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> KeyedPermits<K> {
    /// Allows at most `max` permits of each key.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default() })
    }

    /// Takes a permit, if the key has one left.
    pub fn take(self: &Arc<Self>, key: &K) -> Option<KeyedPermit<K>> {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(key) {
            if *count >= self.max {
                return None;
            }
            *count += 1;
        } else {
            taken.insert(key.clone(), 1);
        }
        drop(taken);
        Some(KeyedPermit { permits: Arc::clone(self), key: key.clone() })
    }

    /// Returns how many permits each key may have.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Returns how many keys have permits.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> usize {
        self.taken.lock().len()
    }
}

impl<K: Eq + Hash> KeyedPermit<K> {
    /// Returns the key of this permit.
    pub const fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        let mut taken = self.permits.taken.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_and_gets_them_back() {
        let permits = KeyedPermits::new(2);
        let held = [permits.take(&"a").unwrap(), permits.take(&"a").unwrap()];
        assert!(permits.take(&"a").is_none());
        let other = permits.take(&"b").expect("another key has its own");
        assert_eq!((permits.keys(), *other.key()), (2, "b"));
        drop(held);
        assert!(permits.take(&"a").is_some());
        drop(other);
        assert_eq!(permits.keys(), 0);
    }
}
