//! The nonces that a session used last.

use std::cell::Cell;
use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// How many are known: several times what a session may have in flight. So a retry among them is
/// found even if the client says `fresh`. A client that has more held back, and says `fresh` of a
/// retry, costs itself a duplicate, which pages collapse.
const KNOWN_MAX: usize = 64;

/// Hashes of nonces. Two nonces with one hash cost a read of the store and nothing else.
#[derive(Debug)]
struct Ring {
    hashes: [u32; KNOWN_MAX],
    noted: usize,
}

/// The nonces that a session used last. It takes one word until the first nonce.
#[derive(Default)]
pub struct RecentNonces {
    ring: Cell<Option<Box<Ring>>>,
}

impl fmt::Debug for RecentNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentNonces").finish_non_exhaustive()
    }
}

impl RecentNonces {
    /// Records a nonce. Returns whether it was one of the last 64.
    pub fn note(&self, nonce: &str) -> bool {
        let hash = xxh3_64(nonce.as_bytes()) as u32;
        let mut ring =
            self.ring.take().unwrap_or_else(|| Box::new(Ring { hashes: [0; KNOWN_MAX], noted: 0 }));
        let known = ring.hashes[..ring.noted.min(KNOWN_MAX)].contains(&hash);
        if !known {
            ring.hashes[ring.noted % KNOWN_MAX] = hash;
            ring.noted += 1;
        }
        self.ring.set(Some(ring));
        known
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_64_are_known() {
        let recent = RecentNonces::default();
        for number in 0..65 {
            assert!(!recent.note(&number.to_string()), "{number}");
        }
        assert!(recent.note("1"), "the 64th from the end");
        assert!(!recent.note("0"), "one more");
        assert_eq!(size_of::<RecentNonces>(), size_of::<usize>());
    }

    proptest! {
        #[test]
        fn knows_what_a_queue_would(nonces in prop::collection::vec(0..100_u32, 0..300)) {
            let (recent, mut queue) = (RecentNonces::default(), VecDeque::new());
            for nonce in nonces {
                let known = queue.contains(&nonce);
                prop_assert_eq!(recent.note(&nonce.to_string()), known);
                if !known {
                    queue.push_back(nonce);
                    if queue.len() > KNOWN_MAX { queue.pop_front(); }
                }
            }
        }
    }
}
