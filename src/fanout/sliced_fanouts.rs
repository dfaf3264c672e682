//! The keys of publishes that are being delivered in slices.

use std::cell::RefCell;

use ahash::AHashMap;

use crate::domain::RoutingKey;

/// The keys of publishes that are delivered in slices, or wait for that in the worker's queue, each
/// with its count. There are at most as many publishes as the queue holds, and one.
///
/// A later publish to one of these keys goes behind them, however few sessions it is for. A session
/// of a late slice must not get the second publish before the first.
#[derive(Debug, Default)]
pub struct SlicedFanouts {
    under_way: RefCell<AHashMap<RoutingKey, u32>>,
}

impl SlicedFanouts {
    /// Records a publish to these keys.
    pub fn enter(&self, keys: &[RoutingKey]) {
        let mut under_way = self.under_way.borrow_mut();
        for key in keys {
            *under_way.entry(key.clone()).or_default() += 1;
        }
    }

    /// Removes a publish that was delivered or lost.
    pub fn leave(&self, keys: &[RoutingKey]) {
        let mut under_way = self.under_way.borrow_mut();
        for key in keys {
            let Some(count) = under_way.get_mut(key) else { continue };
            *count -= 1;
            if *count == 0 {
                under_way.remove(key);
            }
        }
    }

    /// Returns whether a publish to any of these keys is in progress.
    pub fn meet(&self, keys: &[RoutingKey]) -> bool {
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
