//! The newest change of each thing that this worker has told sessions of.

use std::cell::RefCell;
use std::fmt;
use std::hash::Hash;

use ahash::AHashMap;

use crate::domain::MessageId;

/// Changes that are remembered, of one worker and kind. One that is forgotten is told again if it
/// is asked for again.
const TOLD_MAX: usize = 4096;

type Ids<K> = AHashMap<K, MessageId>;

/// For each key the largest id that was told. Changes whose writes overlap are told in one order,
/// and a change that is asked for again is told if it was not told before.
pub struct LastTold<K> {
    /// The recent ones, and those before them.
    halves: RefCell<(Ids<K>, Ids<K>)>,
}

impl<K> Default for LastTold<K> {
    fn default() -> Self {
        Self { halves: RefCell::default() }
    }
}

impl<K> fmt::Debug for LastTold<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastTold").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> LastTold<K> {
    /// Records that a change is told now. Returns false, and records nothing, if it or a later one
    /// was told before.
    pub fn advance(&self, key: K, id: MessageId) -> bool {
        let (recent, earlier) = &mut *self.halves.borrow_mut();
        let told = recent.get(&key).or_else(|| earlier.get(&key));
        if told.is_some_and(|told| *told >= id) {
            return false;
        }
        if recent.len() >= TOLD_MAX / 2 {
            *earlier = std::mem::take(recent);
        }
        recent.insert(key, id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;

    fn id(time: u64) -> MessageId {
        MessageId::first_of(Micros(time))
    }

    #[test]
    fn what_is_told_only_moves_forward() {
        let told = LastTold::default();
        let table = [(1, 20, true), (1, 20, false), (1, 10, false), (2, 10, true), (1, 30, true)];
        for (key, time, is_told) in table {
            assert_eq!(told.advance(key, id(time)), is_told, "{key} {time}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let told = LastTold::default();
        for key in 0..2 * TOLD_MAX {
            assert!(told.advance(key, id(10)));
            let (recent, earlier) = &*told.halves.borrow();
            assert!(recent.len() + earlier.len() <= TOLD_MAX);
        }
        assert!(!told.advance(2 * TOLD_MAX - 1, id(10)));
        assert!(told.advance(0, id(10)), "it is told again");
    }
}
