//! Which messages a worker handed to the sessions of a key, so that what is read again, repeated
//! or detoured is not sent to a client twice.
//!
//! A message is noted with the *number* of its delivery, and a session with the number that was
//! next when it was registered: it has had the message if it was registered before. So one entry
//! serves all sessions of a key, and none is taken to have had what only others had.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::domain::{MessageId, Micros};
use crate::roster::{Rule, Rules};

/// A session's place in the order of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place(u64);

/// A key, by its hash: two keys that share it cost repeats nothing, since the id is in the entry.
type Entry = (MessageId, u64);

/// The memory of one worker. Bounded: what falls out costs repeats, not holes.
#[derive(Debug)]
pub struct Handed {
    deliveries: u64,
    last: AHashMap<Entry, u64>,
    order: VecDeque<Entry>,
    /// The newest message that fell out.
    forgotten: Micros,
    max: usize,
    rules: Rules,
}

impl Handed {
    /// Remembers at most `max` messages, one a key.
    pub fn new(max: usize, rules: Rules) -> Self {
        Self {
            deliveries: 0,
            last: AHashMap::new(),
            order: VecDeque::new(),
            forgotten: Micros(0),
            max,
            rules,
        }
    }

    /// The place of a session that is registered now.
    pub const fn place(&self) -> Place {
        Place(self.deliveries)
    }

    /// Notes that a message is handed to every session of a key that has not had it.
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

    /// Up to where entries may have fallen out for want of room.
    pub const fn forgotten(&self) -> Micros {
        self.forgotten
    }

    /// Whether a message was handed to a key's sessions at all: the usual answer is no.
    pub fn knows(&self, id: MessageId, key: u64) -> bool {
        self.last.contains_key(&(id, key))
    }

    /// Whether a session of a key, registered at `place`, has had a message.
    pub fn had(&self, id: MessageId, key: u64, place: Place) -> bool {
        let number = self.last.get(&(id, key));
        number.is_some_and(|number| *number > place.0 || !self.rules.on(Rule::MemoryBySession))
    }

    /// Forgets the oldest entries up to the watermark: nothing at or below it is read again.
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

    fn handed(max: usize) -> Handed {
        Handed::new(max, Rules::default())
    }

    #[test]
    fn a_session_has_had_what_came_after_it() {
        let mut handed = handed(10);
        let early = handed.place();
        handed.note(id(1), KEY);
        let late = handed.place();
        assert!(handed.had(id(1), KEY, early));
        assert!(!handed.had(id(1), KEY, late));
        assert!(!handed.had(id(1), KEY + 1, early), "another key's sessions have not");
        handed.note(id(1), KEY);
        assert!(handed.had(id(1), KEY, late), "it was handed again, to those who lacked it");
    }

    #[test]
    fn what_falls_out_counts_as_not_had() {
        let mut handed = handed(2);
        let place = handed.place();
        (1..=3).for_each(|time| handed.note(id(time), KEY));
        assert!(!handed.had(id(1), KEY, place));
        assert_eq!(handed.forgotten(), Micros(1));
        assert!(handed.had(id(2), KEY, place) && handed.had(id(3), KEY, place));
        handed.prune(Micros(2));
        assert!(!handed.knows(id(2), KEY) && handed.knows(id(3), KEY));
    }
}
