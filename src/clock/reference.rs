//! Whether the node's time is right: judged by samples of a clock that all nodes share.
//!
//! The store is asked several times at once, of which each answer may come from another of its
//! coordinators. What is known of the offset from one answer is a range: the node's time before
//! and after, against the answer. The medians of the ranges' ends hold the true offset between them
//! as long as most answers are honest. A check is good only if so many answers agree that those
//! who lie would have to be the majority of all that were asked.

use std::time::Duration;

use super::{Doubt, Offset, Verdict};
use crate::domain::{Micros, Moment};

/// From the begin of one check to the next.
///
/// Nothing but a step moves a clock by seconds meanwhile, and steps are looked for by themselves:
/// crystals are wrong by 200 millionths at most, 2 ms in this time.
pub const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The same while the last check was not good: sends wait for it.
pub const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// How often the store is asked in one check: with three coordinators in turn, no one of them gives
/// more than two of the answers.
pub const SAMPLES: usize = 5;

/// How many answers must agree: most of those that were asked for, whoever did not answer.
pub const AGREEING: usize = SAMPLES / 2 + 1;

/// Answers that are so far apart agree: clocks that are kept by NTP are, and last-write-wins needs
/// them closer.
const AGREE_WITHIN: Duration = Duration::from_millis(500);

/// How long an answer may take. Half of it is how wrong an answer may be, and a second leaves most of
/// [`OFF_MAX`]; a read of a coordinator's own clock takes a millisecond.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// Answers are in whole milliseconds, cut off: the clock showed up to so much more.
const CUT_OFF: Duration = Duration::from_micros(999);

/// How far the node's time may be off. The proofs use 5 s; the other half is for what passes until a
/// check notices, and for answers that agree and are a little wrong.
pub const OFF_MAX: Duration = Duration::from_millis(2500);

/// How far the machine's wall clock may move against the monotonic one between two checks: NTP slews
/// it by 500 millionths, 30 ms in [`VALID_FOR`]. More is a step, or a machine that was suspended,
/// with its monotonic clock.
pub const STEP_MAX: Duration = Duration::from_secs(1);

/// How long a good check counts while no other is good. The bounds leave 2.5 s for what a clock runs
/// wrong in it: at 200 millionths hours, at the hundredth that the simulation allows four minutes.
/// A minute is longer than a store is away for a restart, so that only its being away is felt.
pub const VALID_FOR: Duration = Duration::from_mins(1);

/// An answer about the shared clock, between two looks at the node's time.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The node's time before it was asked for.
    pub before: Micros,
    /// The shared clock, to the millisecond.
    pub answer: Micros,
    /// The node's time with the answer in hand.
    pub after: Micros,
}

impl Sample {
    /// How far the node's time is ahead; none if the answer took so long that it says nothing.
    fn offset(self) -> Option<Offset> {
        let took = self.after.0.checked_sub(self.before.0)?;
        let in_time = Duration::from_micros(took) <= ROUND_TRIP_MAX;
        let until = self.answer + CUT_OFF;
        in_time.then(|| Offset::between(self.before, self.after, self.answer, until))
    }
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concluded {
    /// It was not good.
    Nothing,
    /// The node's time is ahead by so much.
    Measured(Offset),
    /// The same, and it is off, while the machine's wall clock is right: somebody has set it since.
    /// The node's time is to follow, and is checked again at once.
    Outdated(Offset),
}

/// The state of the checks.
#[derive(Debug)]
pub struct Reference {
    verdict: Verdict,
    due: Moment,
    /// When the check under way began.
    begun: Option<Moment>,
    /// Whether the machine's clock stepped since.
    void: bool,
    /// When the last good check began.
    good: Moment,
    /// How far the machine's wall clock was ahead of the node's time then, or after a step since.
    lead: Offset,
}

impl Reference {
    /// Nothing was asked yet, and is to be at once. `lead` is how far the machine's wall clock is ahead
    /// of the node's time.
    pub const fn new(now: Moment, lead: Offset) -> Self {
        let verdict = Verdict::Unknown { why: Doubt::Unasked, since: now };
        Self { verdict, due: now, begun: None, void: false, good: now, lead }
    }

    /// Whether the node's time is right.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How far the machine's wall clock was ahead of the node's time at the last good check, or after
    /// the last step.
    pub const fn lead(&self) -> Offset {
        self.lead
    }

    /// Begins a check if one is due; they do not overlap.
    pub fn begin(&mut self, now: Moment) -> bool {
        let begins = self.begun.is_none() && now >= self.due;
        if begins {
            (self.begun, self.void) = (Some(now), false);
        }
        begins
    }

    /// Time passed: looks for a step of the machine's wall clock, and for a check that is too old.
    pub fn look(&mut self, now: Moment, lead: Offset) {
        if lead.since(self.lead).is_beyond(STEP_MAX) {
            (self.lead, self.void, self.due) = (lead, true, now);
            self.doubt(Doubt::Stepped, now);
        } else if now.since(self.good) > VALID_FOR {
            self.doubt(Doubt::Unanswered, now);
        }
    }

    /// What was known is not known any more.
    fn doubt(&mut self, why: Doubt, since: Moment) {
        if self.verdict == Verdict::Known {
            self.verdict = Verdict::Unknown { why, since };
        }
    }

    /// The check under way is over, with these answers. `now` and `lead` were read with them in hand.
    pub fn conclude(&mut self, samples: &[Sample], now: Moment, lead: Offset) -> Concluded {
        self.look(now, lead);
        let Some(begun) = self.begun.take() else { return Concluded::Nothing };
        if std::mem::take(&mut self.void) {
            self.due = now;
            return Concluded::Nothing;
        }
        self.due = now + CHECK_AGAIN;
        let Some(offset) = median(samples) else { return Concluded::Nothing };
        if offset.is_within(OFF_MAX) {
            self.verdict = Verdict::Known;
            (self.good, self.lead, self.due) = (begun, lead, (begun + CHECK_EVERY).max(now));
            return Concluded::Measured(offset);
        }
        self.verdict = Verdict::Off(offset);
        if lead.plus(offset).is_within(OFF_MAX) {
            // Seen from the time that follows, the machine is where it is.
            (self.lead, self.due) = (Offset { low: 0, high: 0 }, now);
            return Concluded::Outdated(offset);
        }
        Concluded::Measured(offset)
    }
}

/// The range that holds the offset, if most of the answers that were asked for agree about it.
fn median(samples: &[Sample]) -> Option<Offset> {
    let offsets: Vec<Offset> = samples.iter().copied().filter_map(Sample::offset).collect();
    if offsets.is_empty() {
        return None;
    }
    let sorted = |end: fn(&Offset) -> i64| {
        let mut ends: Vec<i64> = offsets.iter().map(end).collect();
        ends.sort_unstable();
        ends
    };
    // Of an even number the outer ones: what most answers hold lies between them.
    let low = sorted(|offset| offset.low)[(offsets.len() - 1) / 2];
    let high = sorted(|offset| offset.high)[offsets.len() / 2];
    let within = AGREE_WITHIN.as_micros() as i64;
    let agrees = |it: &&Offset| it.low <= high + within && it.high >= low - within;
    let agreeing = offsets.iter().filter(agrees).count();
    (agreeing >= AGREEING).then_some(Offset { low, high })
}

#[cfg(test)]
mod tests;
