//! An incarnation's lease: while it holds, what the incarnation acknowledges may be published.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Incarnation, Safeguard, Safeguards};
use crate::domain::MonotonicTime;

/// How long a lease lasts from the *begin* of the heartbeat write that carries it. Others declare
/// an incarnation dead after 15 s without a fresh heartbeat; anything below that is sound, and one
/// is written every 2 s.
pub const LEASE: Duration = Duration::from_secs(8);

/// Most heartbeat writes that are kept unanswered. Older ones are forgotten, as if they had failed.
const WRITES_MAX: usize = 16;

/// The state of an incarnation's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// No heartbeat of it was acknowledged yet: it issues no ids.
    Unborn,
    /// It may acknowledge before this moment.
    Holds(MonotonicTime),
    /// Its lease ran out: it is fenced for good.
    Over,
}

/// The lease of one incarnation.
#[derive(Debug, Clone)]
pub struct NodeLease {
    incarnation: Incarnation,
    counter: u64,
    writes: VecDeque<(u64, MonotonicTime)>,
    until: Option<MonotonicTime>,
    born: bool,
    over: bool,
    rules: Safeguards,
}

impl NodeLease {
    /// Starts an incarnation that has written nothing.
    pub const fn new(incarnation: Incarnation, rules: Safeguards) -> Self {
        Self {
            incarnation,
            counter: 0,
            writes: VecDeque::new(),
            until: None,
            born: false,
            over: false,
            rules,
        }
    }

    /// The same incarnation with a lease that begins anew, which must never happen.
    #[cfg(test)]
    pub(super) fn revived(mut self) -> Self {
        (self.until, self.born, self.over) = (None, false, false);
        self.writes.clear();
        self
    }

    /// Returns the lease's incarnation.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Begins a heartbeat and returns its counter. `now` was read before the write is issued, since
    /// the lease is counted from here.
    pub fn begin(&mut self, now: MonotonicTime) -> u64 {
        self.counter += 1;
        self.until.get_or_insert(now + LEASE);
        if self.writes.len() == WRITES_MAX {
            self.writes.pop_front();
        }
        self.writes.push_back((self.counter, now));
        self.counter
    }

    /// Takes the acknowledgement of a heartbeat. `now` was read once it was there.
    pub fn acknowledged(&mut self, counter: u64, now: MonotonicTime) {
        let Some(at) = self.writes.iter().position(|(number, _)| *number == counter) else {
            return;
        };
        let (_, begun) = self.writes[at];
        // The lease is tested first: one that ran out stays so, even if this acknowledgement would
        // have extended it.
        let rule = if self.born { Safeguard::StickyLease } else { Safeguard::Birth };
        if self.standing(now) == LeaseState::Over && self.rules.on(rule) {
            return;
        }
        self.over = false;
        self.born = true;
        self.until = self.until.max(Some(begun + LEASE));
        self.writes.drain(..=at);
    }

    /// Returns the state of the lease at `now`.
    pub fn standing(&mut self, now: MonotonicTime) -> LeaseState {
        self.over |= self.until.is_some_and(|until| now >= until);
        match self.until {
            _ if self.over => LeaseState::Over,
            Some(until) if self.born => LeaseState::Holds(until),
            _ => LeaseState::Unborn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> MonotonicTime {
        MonotonicTime((seconds * 1e6) as u64)
    }

    fn generation() -> NodeLease {
        NodeLease::new(Incarnation(1), Safeguards::default())
    }

    #[test]
    fn a_lease_is_counted_from_the_begin_of_the_write() {
        let mut x = generation();
        assert_eq!(x.standing(at(0.0)), LeaseState::Unborn);
        let first = x.begin(at(1.0));
        assert_eq!(x.standing(at(3.0)), LeaseState::Unborn);
        x.acknowledged(first, at(4.0));
        assert_eq!(x.standing(at(4.0)), LeaseState::Holds(at(9.0)));
        assert_eq!(x.standing(at(9.0)), LeaseState::Over);
    }

    #[test]
    fn an_incarnation_is_born_within_the_lease_of_its_first_row() {
        let mut x = generation();
        x.begin(at(0.0));
        let late = x.begin(at(7.9));
        x.acknowledged(late, at(8.0));
        assert_eq!(x.standing(at(8.1)), LeaseState::Over, "the first row's lease ended at 8");
        let mut y = generation();
        y.begin(at(0.0));
        let second = y.begin(at(2.0));
        y.acknowledged(second, at(7.9));
        assert_eq!(y.standing(at(8.1)), LeaseState::Holds(at(10.0)), "any row in time will do");
    }

    #[test]
    fn a_lease_that_ran_out_is_not_revived() {
        let mut x = generation();
        let first = x.begin(at(0.0));
        x.acknowledged(first, at(0.1));
        let second = x.begin(at(7.9));
        x.acknowledged(second, at(15.1));
        assert_eq!(x.standing(at(15.2)), LeaseState::Over);
    }

    #[test]
    fn acknowledgements_may_come_out_of_order_or_twice() {
        let mut x = generation();
        let (first, second) = (x.begin(at(0.0)), x.begin(at(2.0)));
        x.acknowledged(second, at(2.5));
        x.acknowledged(first, at(2.6));
        x.acknowledged(second, at(2.7));
        assert_eq!(x.standing(at(3.0)), LeaseState::Holds(at(10.0)));
    }
}
