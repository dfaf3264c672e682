//! The pending table: the ids of one incarnation on one worker, from their issue until they are
//! settled. A worker issues ids in rising order, so the table is a queue.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{Micros, MonotonicTime};

/// Identifies a send of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SendId {
    pub(super) generation: u32,
    pub(super) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The store has not answered.
    Writing,
    /// The check passed; this many publishes are neither confirmed nor given up on.
    Publishing(u8),
    Settled,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: Micros,
    issued: MonotonicTime,
    stage: Stage,
}

/// The pending table.
#[derive(Debug, Default)]
pub(super) struct InFlightSends {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// The number of the first entry that is being written.
    undecided: u64,
}

impl InFlightSends {
    /// Enters an id, in the step that issued it. `time` is above all earlier ones.
    pub(super) fn enter(&mut self, time: Micros, issued: MonotonicTime) -> u64 {
        debug_assert!(self.entries.back().is_none_or(|last| last.time < time), "ids rise");
        self.entries.push_back(Entry { time, issued, stage: Stage::Writing });
        self.first + self.entries.len() as u64 - 1
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = number.checked_sub(self.first)?;
        self.entries.get_mut(at as usize)
    }

    /// When an id was made and entered.
    pub(super) fn issued(&self, number: u64) -> Option<(Micros, MonotonicTime)> {
        let at = number.checked_sub(self.first)?;
        self.entries.get(at as usize).map(|entry| (entry.time, entry.issued))
    }

    /// Notes that the send passed the check and has `publishes` publishes; with none it is settled.
    pub(super) fn decide(&mut self, number: u64, publishes: u8) {
        if let Some(entry) = self.entry(number)
            && entry.stage == Stage::Writing
        {
            entry.stage =
                if publishes == 0 { Stage::Settled } else { Stage::Publishing(publishes) };
            self.settle_front();
        }
    }

    /// Notes that one publish was confirmed, or given up on under an announced gap.
    pub(super) fn publish_done(&mut self, number: u64) {
        if let Some(entry) = self.entry(number)
            && let Stage::Publishing(left) = entry.stage
        {
            entry.stage = if left <= 1 { Stage::Settled } else { Stage::Publishing(left - 1) };
            self.settle_front();
        }
    }

    /// Settles everything, which an announced gap must never do.
    #[cfg(test)]
    pub(super) fn settle_all(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }

    fn settle_front(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.stage == Stage::Settled) {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// Every id up to here is settled. `reading` is the clock's, and later ids are above it.
    pub(super) fn settled(&self, reading: Micros) -> Micros {
        self.entries.front().map_or(reading, below)
    }

    /// Every id up to here is decided.
    pub(super) fn decided(&mut self, reading: Micros) -> Micros {
        self.undecided = self.undecided.max(self.first);
        let from = (self.undecided - self.first) as usize;
        let is_writing = |entry: &Entry| entry.stage == Stage::Writing;
        let ahead = self.entries.iter().skip(from).position(is_writing);
        self.undecided += ahead.unwrap_or(self.entries.len() - from) as u64;
        let at = (self.undecided - self.first) as usize;
        self.entries.get(at).map_or(reading, below)
    }

    /// How long the oldest send has been unsettled.
    pub(super) fn oldest(&self, now: MonotonicTime) -> Duration {
        self.entries.front().map_or(Duration::ZERO, |entry| now.since(entry.issued))
    }
}

fn below(entry: &Entry) -> Micros {
    Micros(entry.time.0 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const READING: Micros = Micros(1_000_000);

    fn numbers(in_flight: &mut InFlightSends) -> (u64, u64) {
        (in_flight.settled(READING).0, in_flight.decided(READING).0)
    }

    #[test]
    fn an_empty_table_is_where_the_clock_is() {
        assert_eq!(numbers(&mut InFlightSends::default()), (READING.0, READING.0));
    }

    #[test]
    fn decided_runs_ahead_of_settled() {
        let mut in_flight = InFlightSends::default();
        let [a, b, c] = [10, 20, 30].map(|time| in_flight.enter(Micros(time), MonotonicTime(time)));
        assert_eq!(numbers(&mut in_flight), (9, 9));
        in_flight.decide(b, 0);
        assert_eq!(numbers(&mut in_flight), (9, 9), "the first is what counts");
        in_flight.decide(a, 2);
        assert_eq!(numbers(&mut in_flight), (9, 29));
        in_flight.publish_done(a);
        assert_eq!(numbers(&mut in_flight), (9, 29));
        in_flight.publish_done(a);
        assert_eq!(numbers(&mut in_flight), (29, 29), "b was settled already");
        in_flight.decide(c, 1);
        in_flight.decide(c, 0);
        assert_eq!(numbers(&mut in_flight), (29, READING.0), "a decision is final");
        assert_eq!(in_flight.oldest(MonotonicTime(40)), Duration::from_micros(10));
    }

    proptest! {
        #[test]
        fn agrees_with_a_table_that_keeps_everything(
            steps in prop::collection::vec((0..3_u8, 0..12_u64, 0..3_u8), 1..80),
        ) {
            let mut in_flight = InFlightSends::default();
            let mut naive: Vec<(u64, Option<u8>)> = Vec::new();
            for (step, which, publishes) in steps {
                match (step, naive.get_mut(which as usize)) {
                    (0, _) => {
                        let time = (naive.len() as u64 + 1) * 10;
                        let number = in_flight.enter(Micros(time), MonotonicTime(0));
                        prop_assert_eq!(number, naive.len() as u64);
                        naive.push((time, None));
                    }
                    (1, Some((_, stage @ None))) => {
                        *stage = Some(publishes);
                        in_flight.decide(which, publishes);
                    }
                    (2, Some((_, Some(left)))) => {
                        *left = left.saturating_sub(1);
                        in_flight.publish_done(which);
                    }
                    _ => {}
                }
                let first = |open: fn(&Option<u8>) -> bool| {
                    let entry = naive.iter().find(|(_, stage)| open(stage));
                    entry.map_or(READING.0, |(time, _)| time - 1)
                };
                let expected = (first(|stage| *stage != Some(0)), first(Option::is_none));
                prop_assert_eq!(numbers(&mut in_flight), expected);
            }
        }
    }
}
