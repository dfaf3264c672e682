//! A node's incarnations, one after the other, and when their heartbeats are due.

use std::time::Duration;

use super::{Incarnation, LeaseState, NodeLease, Safeguard, Safeguards};
use crate::domain::MonotonicTime;

/// The time from one heartbeat write to the next, begin to begin, even if earlier ones are
/// unanswered.
pub const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Earlier incarnations whose last heartbeat is not acknowledged yet. Beyond it the oldest is left
/// for the others to find dead.
const RETIRING_MAX: usize = 8;

/// An earlier incarnation.
#[derive(Debug)]
struct Retiring {
    number: u32,
    generation: NodeLease,
    /// The first heartbeat that stated `left`: earlier ones may be acknowledged late.
    last: Option<u64>,
}

/// A node's incarnations.
#[derive(Debug)]
pub struct Generations {
    current: NodeLease,
    number: u32,
    retiring: Vec<Retiring>,
    due: MonotonicTime,
    rules: Safeguards,
}

impl Generations {
    /// Starts a boot with this incarnation.
    pub fn new(incarnation: Incarnation, now: MonotonicTime, rules: Safeguards) -> Self {
        let current = NodeLease::new(incarnation, rules);
        Self { current, number: 0, retiring: Vec::new(), due: now, rules }
    }

    /// Returns which incarnation of the boot is the current one.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns when the next heartbeat is due.
    pub const fn due(&self) -> MonotonicTime {
        self.due
    }

    /// Makes the next heartbeat due now: others wait for what it states.
    pub fn hurry(&mut self, now: MonotonicTime) {
        self.due = self.due.min(now);
    }

    /// Begins a heartbeat of the current incarnation and returns its key and counter. `now` was
    /// read before the write is issued.
    pub fn begin(&mut self, now: MonotonicTime) -> (Incarnation, u64) {
        self.due = now + WRITE_EVERY;
        (self.current.incarnation(), self.current.begin(now))
    }

    /// Begins the last heartbeat of an earlier incarnation, of which everything is settled.
    pub fn begin_last(&mut self, number: u32, now: MonotonicTime) -> Option<(Incarnation, u64)> {
        let retiring = self.retiring.iter_mut().find(|retiring| retiring.number == number)?;
        let counter = retiring.generation.begin(now);
        retiring.last.get_or_insert(counter);
        Some((retiring.generation.incarnation(), counter))
    }

    /// Takes the acknowledgement of a heartbeat. `now` was read once it was there. Returns true if
    /// it was the last one of an earlier incarnation, which is then over.
    pub fn acknowledged(&mut self, number: u32, counter: u64, now: MonotonicTime) -> bool {
        if number == self.number {
            self.current.acknowledged(counter, now);
            return false;
        }
        let is_last = |retiring: &Retiring| {
            retiring.number == number && retiring.last.is_some_and(|last| counter >= last)
        };
        let before = self.retiring.len();
        self.retiring.retain(|retiring| !is_last(retiring));
        self.retiring.len() < before
    }

    /// Returns the state of the current incarnation's lease.
    pub fn standing(&mut self, now: MonotonicTime) -> LeaseState {
        self.current.standing(now)
    }

    /// Replaces the current incarnation, whose lease ran out or must not be used any longer, by
    /// `fresh`. The old one retires. Returns the number of an older one that is not waited for any
    /// longer.
    pub fn begin_incarnation(&mut self, fresh: Incarnation, now: MonotonicTime) -> Option<u32> {
        #[cfg(test)]
        if !self.rules.on(Safeguard::FreshIncarnation) {
            self.current = self.current.clone().revived();
            return None;
        }
        let old = std::mem::replace(&mut self.current, NodeLease::new(fresh, self.rules));
        if self.rules.on(Safeguard::LeftAfterFence) {
            self.retiring.push(Retiring { number: self.number, generation: old, last: None });
        }
        self.number += 1;
        self.due = now;
        let too_many = self.retiring.len() > RETIRING_MAX;
        too_many.then(|| self.retiring.remove(0).number)
    }

    /// Returns the earlier incarnations whose last heartbeat is to be written once they are
    /// settled.
    pub fn retiring(&self) -> impl Iterator<Item = u32> {
        self.retiring.iter().map(|retiring| retiring.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime(seconds * 1_000_000)
    }

    #[test]
    fn a_fenced_incarnation_retires_with_its_last_row() {
        let mut keeper = Generations::new(Incarnation(1), at(0), Safeguards::default());
        let (first, counter) = keeper.begin(at(0));
        assert_eq!((first, counter, keeper.due()), (Incarnation(1), 1, at(2)));
        assert!(!keeper.acknowledged(0, counter, at(1)));
        assert_eq!(keeper.standing(at(7)), LeaseState::Holds(at(8)));
        let (_, late) = keeper.begin(at(2));
        assert_eq!(keeper.standing(at(8)), LeaseState::Over);
        assert_eq!(keeper.begin_incarnation(Incarnation(2), at(8)), None);
        assert_eq!((keeper.number(), keeper.due()), (1, at(8)));
        assert_eq!(keeper.standing(at(8)), LeaseState::Unborn);
        assert!(!keeper.acknowledged(0, late, at(9)), "an ordinary row that was slow");
        assert_eq!(keeper.retiring().collect::<Vec<_>>(), [0]);
        let (last, counter) = keeper.begin_last(0, at(9)).unwrap();
        assert_eq!((last, counter), (Incarnation(1), 3), "its counter goes on");
        assert!(keeper.acknowledged(0, counter, at(30)));
        assert_eq!(keeper.retiring().count(), 0);
        assert_eq!(keeper.begin_last(0, at(31)), None);
    }

    #[test]
    fn few_retire_at_once() {
        let mut keeper = Generations::new(Incarnation(0), at(0), Safeguards::default());
        let dropped: Vec<Option<u32>> =
            (1..=20).map(|n| keeper.begin_incarnation(Incarnation(n), at(0))).collect();
        assert_eq!(dropped[7..10], [None, Some(0), Some(1)]);
        let retiring: Vec<u32> = keeper.retiring().collect();
        assert_eq!(retiring, (12..20).collect::<Vec<_>>());
    }
}
