//! A node's incarnations, one after the other, and when their rows are due.

use std::time::Duration;

use super::{Incarnation, Rule, Rules, Standing, Tenure};
use crate::domain::Moment;

/// From one row write to the next, begin to begin, whether or not earlier ones are answered.
pub const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Earlier incarnations whose last row is not acknowledged yet; beyond it the oldest is left to be
/// found dead.
const RETIRING_MAX: usize = 8;

/// A node's incarnations.
#[derive(Debug)]
pub struct Keeper {
    current: Tenure,
    number: u32,
    retiring: Vec<(u32, Tenure)>,
    due: Moment,
    rules: Rules,
}

impl Keeper {
    /// A boot begins with this incarnation.
    pub fn new(incarnation: Incarnation, now: Moment, rules: Rules) -> Self {
        let current = Tenure::new(incarnation, rules);
        Self { current, number: 0, retiring: Vec::new(), due: now, rules }
    }

    /// Which incarnation of the boot is the current one.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// When the next row is due.
    pub const fn due(&self) -> Moment {
        self.due
    }

    /// The next row is due now: others wait for what it says.
    pub fn hurry(&mut self, now: Moment) {
        self.due = self.due.min(now);
    }

    /// Begins a row of an incarnation: its key and counter. `now` was read before the write is
    /// issued.
    pub fn begin(&mut self, number: u32, now: Moment) -> Option<(Incarnation, u64)> {
        let tenure = if number == self.number {
            self.due = now + WRITE_EVERY;
            &mut self.current
        } else {
            &mut self.retiring.iter_mut().find(|(retiring, _)| *retiring == number)?.1
        };
        Some((tenure.incarnation(), tenure.begin(now)))
    }

    /// A row of an incarnation was acknowledged; the last one of an earlier incarnation ends it.
    /// `now` was read with the acknowledgement in hand.
    pub fn acknowledged(&mut self, number: u32, counter: u64, now: Moment) {
        if number == self.number {
            self.current.acknowledged(counter, now);
        } else {
            self.retiring.retain(|(retiring, _)| *retiring != number);
        }
    }

    /// How the current incarnation stands.
    pub fn standing(&mut self, now: Moment) -> Standing {
        self.current.standing(now)
    }

    /// The current incarnation's lease ran out, or must not be used any longer: a fresh one takes
    /// over, and the old one retires. Which incarnation of the boot it is.
    pub fn succeed(&mut self, fresh: Incarnation, now: Moment) -> u32 {
        #[cfg(test)]
        if !self.rules.on(Rule::FreshIncarnation) {
            self.current = self.current.clone().revived();
            return self.number;
        }
        let old = std::mem::replace(&mut self.current, Tenure::new(fresh, self.rules));
        if self.rules.on(Rule::LeftAfterFence) {
            self.retiring.push((self.number, old));
            if self.retiring.len() > RETIRING_MAX {
                self.retiring.remove(0);
            }
        }
        self.number += 1;
        self.due = now;
        self.number
    }

    /// Earlier incarnations whose last row is to be written once they are settled.
    pub fn retiring(&self) -> impl Iterator<Item = u32> {
        self.retiring.iter().map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn a_fenced_incarnation_retires_with_its_last_row() {
        let mut keeper = Keeper::new(Incarnation(1), at(0), Rules::default());
        let (first, counter) = keeper.begin(0, at(0)).unwrap();
        assert_eq!((first, counter, keeper.due()), (Incarnation(1), 1, at(2)));
        keeper.acknowledged(0, counter, at(1));
        assert_eq!(keeper.standing(at(7)), Standing::Holds(at(8)));
        assert_eq!(keeper.standing(at(8)), Standing::Over);
        assert_eq!(keeper.succeed(Incarnation(2), at(8)), 1);
        assert_eq!((keeper.standing(at(8)), keeper.due()), (Standing::Unborn, at(8)));
        assert_eq!(keeper.retiring().collect::<Vec<_>>(), [0]);
        let (last, counter) = keeper.begin(0, at(9)).unwrap();
        assert_eq!((last, counter), (Incarnation(1), 2), "its counter goes on");
        keeper.acknowledged(0, counter, at(30));
        assert_eq!(keeper.retiring().count(), 0);
        assert_eq!(keeper.begin(0, at(31)), None);
    }

    #[test]
    fn few_retire_at_once() {
        let mut keeper = Keeper::new(Incarnation(0), at(0), Rules::default());
        for n in 1..=20 {
            keeper.succeed(Incarnation(n), at(0));
        }
        let retiring: Vec<u32> = keeper.retiring().collect();
        assert_eq!(retiring, (12..20).collect::<Vec<_>>());
    }
}
