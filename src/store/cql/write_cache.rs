//! What a node knows to be written: the windows of conversations, and the memberships of direct
//! ones. A row that it does not know is written once more, which changes nothing and costs a
//! statement.

use ahash::{AHashSet, RandomState};
use parking_lot::Mutex;

use super::window::MessageWindow;

/// Marks in each of two generations: of 16 bytes each, 40 MB in all at most. A conversation has one
/// mark per window and a direct one another, so 250,000 running chats are all known.
const GENERATION: usize = 524_288;

/// A row that was written and acknowledged: a window of a conversation, or the memberships of a
/// direct one. It is two hashes with secret keys, so that no client can make two rows with one
/// mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WriteMark(u64, u64);

/// The marks of a node that are in use. There are two generations: the older is dropped when the
/// younger is full, and a mark that is looked up moves to the younger.
#[derive(Debug)]
pub(super) struct WriteCache {
    secrets: [RandomState; 2],
    /// The most marks of a generation.
    most: usize,
    generations: Mutex<[AHashSet<WriteMark>; 2]>,
}

impl Default for WriteCache {
    fn default() -> Self {
        Self::bounded(GENERATION)
    }
}

impl WriteCache {
    fn bounded(most: usize) -> Self {
        Self { secrets: Default::default(), most, generations: Mutex::default() }
    }

    /// The mark of a conversation's window, or of the memberships in it.
    pub(super) fn mark(&self, conversation: &str, window: Option<MessageWindow>) -> WriteMark {
        let [one, other] = &self.secrets;
        WriteMark(one.hash_one((conversation, window)), other.hash_one((conversation, window)))
    }

    pub(super) fn has(&self, mark: WriteMark) -> bool {
        let mut generations = self.generations.lock();
        if generations[0].contains(&mark) {
            return true;
        }
        let is_old = generations[1].contains(&mark);
        if is_old {
            self.remember(&mut generations, mark);
        }
        is_old
    }

    /// Remembers a row that was acknowledged.
    pub(super) fn note(&self, mark: WriteMark) {
        self.remember(&mut self.generations.lock(), mark);
    }

    fn remember(&self, generations: &mut [AHashSet<WriteMark>; 2], mark: WriteMark) {
        if generations[0].len() >= self.most {
            generations.swap(0, 1);
            generations[0].clear();
        }
        generations[0].insert(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, Micros, RoomId};

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_in_use_stays() {
        const MOST: usize = 512;
        let written = WriteCache::bounded(MOST);
        let nth = |n: usize| written.mark(&format!("room.r{n}"), None);
        for n in 0..2 * MOST + 10 {
            written.note(nth(n));
            assert!(written.has(nth(n)) && written.has(nth(0)), "{n}");
        }
        let kept: usize = written.generations.lock().iter().map(|one| one.len()).sum();
        assert!(kept <= 2 * MOST);
        assert!(!written.has(nth(1)), "it was not looked up");
    }

    #[test]
    fn a_mark_is_of_one_conversation_and_window() {
        let written = WriteCache::default();
        let room = Conversation::Room(RoomId::parse("r").unwrap());
        let at = |hour: u64| Some(MessageWindow::of(&room, Micros(hour * 3_600_000_000)));
        written.note(written.mark("room.r", at(1)));
        assert!(written.has(written.mark("room.r", at(1))));
        for (name, window) in [("room.r", at(2)), ("room.r", None), ("room.s", at(1))] {
            assert!(!written.has(written.mark(name, window)), "{name} {window:?}");
        }
    }
}
