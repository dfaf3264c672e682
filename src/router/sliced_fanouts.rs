//! Keys of what is on its way to very many sessions of a worker.

use std::cell::RefCell;

use ahash::AHashMap;

use crate::domain::RoutingKey;

/// The keys of publishes that are handed over in slices, or wait for that in the worker's queue, each
/// with how many there are: as many as the queue holds, and one.
///
/// What is published to one of them meanwhile goes behind, however few it is for: a session that has
/// its turn late must not have the second before the first.
#[derive(Debug, Default)]
pub struct SlicedFanouts {
    under_way: RefCell<AHashMap<RoutingKey, u32>>,
}

impl SlicedFanouts {
    /// A publish to these keys is under way from here on.
    pub(super) fn enter(&self, keys: &[RoutingKey]) {
        let mut under_way = self.under_way.borrow_mut();
        for key in keys {
            *under_way.entry(key.clone()).or_default() += 1;
        }
    }

    /// It is handed over, or lost.
    pub(super) fn leave(&self, keys: &[RoutingKey]) {
        let mut under_way = self.under_way.borrow_mut();
        for key in keys {
            let Some(count) = under_way.get_mut(key) else { continue };
            *count -= 1;
            if *count == 0 {
                under_way.remove(key);
            }
        }
    }

    /// Whether anything is under way to one of these keys.
    pub(super) fn meet(&self, keys: &[RoutingKey]) -> bool {
        let under_way = self.under_way.borrow();
        !under_way.is_empty() && keys.iter().any(|key| under_way.contains_key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_met_until_everything_to_it_left() {
        let sliced = SlicedFanouts::default();
        let [a, b, c] = ["topic.a", "user.b", "room.c"].map(|key| RoutingKey::parse(key).unwrap());
        let (both, one) = ([a.clone(), b.clone()], [b.clone()]);
        sliced.enter(&both);
        sliced.enter(&one);
        assert!(sliced.meet(&[c.clone(), a.clone()]) && !sliced.meet(&[c]));
        sliced.leave(&both);
        assert!(sliced.meet(&one) && !sliced.meet(&[a]));
        sliced.leave(&one);
        assert!(!sliced.meet(&one) && sliced.under_way.borrow().is_empty());
    }
}
