//! Which messages a worker delivered to the sessions of a key. With it a client gets a message
//! once, even if the message is read again, repeated or detoured.
//!
//! A message is recorded with the *number* of its delivery. A session is recorded with the number
//! that was next when it was registered. The session has the message if it was registered before
//! the delivery. So one entry serves all sessions of a key, and no session counts as having what
//! only others received.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::cluster::{Safeguard, Safeguards};
use crate::domain::{MessageId, Micros};

/// A session's position in the order of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DeliverySeq(u64);

/// A key, by its hash. Two keys with one hash cause no missing and no repeated message, since the
/// id is in the entry.
type Entry = (MessageId, u64);

/// The memory of one worker. It is bounded: what is dropped costs repeats, not losses.
#[derive(Debug)]
pub struct RecentDeliveries {
    deliveries: u64,
    last: AHashMap<Entry, u64>,
    order: VecDeque<Entry>,
    /// The newest message that was dropped.
    forgotten: Micros,
    max: usize,
    rules: Safeguards,
}

impl RecentDeliveries {
    /// Remembers at most `max` messages, one per key.
    pub fn new(max: usize, rules: Safeguards) -> Self {
        Self {
            deliveries: 0,
            last: AHashMap::new(),
            order: VecDeque::new(),
            forgotten: Micros(0),
            max,
            rules,
        }
    }

    /// The position of a session that is registered now.
    pub const fn place(&self) -> DeliverySeq {
        DeliverySeq(self.deliveries)
    }

    /// Records that a message is delivered to every session of a key that does not have it.
    pub fn note(&mut self, id: MessageId, key: u64) {
        self.deliveries += 1;
        if self.last.insert((id, key), self.deliveries).is_none() {
            self.order.push_back((id, key));
            if self.order.len() > self.max {
                let oldest = self.order[0].0.time();
                self.forgotten = self.forgotten.max(oldest);
                self.forget_oldest();
            }
        }
    }

    /// Up to which id entries may have been dropped to stay within the bound.
    pub const fn forgotten(&self) -> Micros {
        self.forgotten
    }

    /// Whether a message was delivered to a key's sessions at all: the usual answer is no.
    pub fn knows(&self, id: MessageId, key: u64) -> bool {
        self.last.contains_key(&(id, key))
    }

    /// Whether a session of a key, registered at `place`, has a message.
    pub fn had(&self, id: MessageId, key: u64, place: DeliverySeq) -> bool {
        let number = self.last.get(&(id, key));
        number.is_some_and(|number| *number > place.0 || !self.rules.on(Safeguard::MemoryBySession))
    }

    /// Drops the oldest entries up to the watermark: nothing at or below it is read again.
    pub fn prune(&mut self, watermark: Micros) {
        while self.order.front().is_some_and(|(id, _)| id.time() <= watermark) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.order.pop_front() {
            self.last.remove(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 7;

    fn id(time: u64) -> MessageId {
        MessageId::first_of(Micros(time))
    }

    fn recent(max: usize) -> RecentDeliveries {
        RecentDeliveries::new(max, Safeguards::default())
    }

    #[test]
    fn a_session_has_had_what_came_after_it() {
        let mut recent = recent(10);
        let early = recent.place();
        recent.note(id(1), KEY);
        let late = recent.place();
        assert!(recent.had(id(1), KEY, early));
        assert!(!recent.had(id(1), KEY, late));
        assert!(!recent.had(id(1), KEY + 1, early), "another key's sessions have not");
        recent.note(id(1), KEY);
        assert!(recent.had(id(1), KEY, late), "it was delivered again, to sessions without it");
    }

    #[test]
    fn what_falls_out_counts_as_not_had() {
        let mut recent = recent(2);
        let place = recent.place();
        (1..=3).for_each(|time| recent.note(id(time), KEY));
        assert!(!recent.had(id(1), KEY, place));
        assert_eq!(recent.forgotten(), Micros(1));
        assert!(recent.had(id(2), KEY, place) && recent.had(id(3), KEY, place));
        recent.prune(Micros(2));
        assert!(!recent.knows(id(2), KEY) && recent.knows(id(3), KEY));
    }
}
