//! Events by virtual time; those of one instant in the order in which they were scheduled.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::event::Event;

/// Microseconds of true time since a schedule began.
pub type Time = u64;

/// A second.
pub const SECOND: Time = 1_000_000;

/// A millisecond.
pub const MILLI: Time = 1_000;

/// The bits of an entry's key that hold its number; the time is above them.
const NUMBER_BITS: u32 = 30;

#[derive(Debug)]
struct Entry {
    key: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

/// The events to come.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    number: u64,
}

impl Queue {
    /// Removes everything; its memory is used again.
    pub fn clear(&mut self) {
        self.heap.clear();
        self.number = 0;
    }

    /// Schedules an event.
    pub fn push(&mut self, at: Time, event: Event) {
        self.number += 1;
        self.heap.push(Entry { key: at << NUMBER_BITS | self.number, event });
    }

    /// The next event, if it is before `end`.
    pub fn pop(&mut self, end: Time) -> Option<(Time, Event)> {
        if self.heap.peek()?.key >> NUMBER_BITS >= end {
            return None;
        }
        let entry = self.heap.pop()?;
        Some((entry.key >> NUMBER_BITS, entry.event))
    }

    /// How many events were scheduled.
    pub const fn scheduled(&self) -> u64 {
        self.number
    }
}
