//! What is known of the reference time: an interval that contains it, from answers of the store's
//! coordinators.
//!
//! The reference time R is the median of the coordinators' clocks. Each check asks all of them. One
//! answer gives an interval: the node's monotonic clock before and after, against the answer.
//! Coordinators that disagree with the others are left out, and a majority must remain. The hull of
//! a majority's intervals contains the median of all, whichever answers the others would have
//! given.
//!
//! That hull is intersected with the previous interval, aged to now. The result is what is known.
//! Answers that contradict what was known mean that the reference jumped, or that this machine's
//! monotonic clock is wrong. Then nothing is known until the next check agrees.

use std::sync::Arc;
use std::time::Duration;

use super::{ClockDoubt, ClockStatus, Interval, Offset, STEP_MAX, UNCERTAINTY_MAX};
use crate::domain::{Micros, MonotonicTime};

/// From the begin of one check to the next. The interval grows by 4 ms on either side meanwhile,
/// and adding a member waits for that. A check costs a coordinator a fraction of a millisecond.
pub const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The same while the last check was not good: sends wait for it.
pub const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// Fewest questions of a check, so that another answer of the same coordinator makes up for a slow
/// one.
pub const QUESTIONS: usize = 5;

/// Most coordinators that are asked: the first in the order of their ids, the same for all nodes.
pub const COORDINATORS_MAX: usize = 15;

/// Coordinators within this distance agree: clocks that NTP keeps are, and last-write-wins needs
/// them closer.
const AGREE_WITHIN: Duration = Duration::from_millis(500);

/// How long an answer may take.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// Answers are cut off to whole milliseconds: the clock may have shown up to this much more.
const CUT_OFF: Duration = Duration::from_micros(999);

/// How long a good check counts while no other is good. The interval grows by 120 ms on either side
/// meanwhile. A restart of a store takes less than a minute, so it is not noticed as an unknown
/// clock as well.
pub const VALID_FOR: Duration = Duration::from_mins(1);

/// An answer of a coordinator about its clock, between two reads of the monotonic clock.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The coordinator.
    pub coordinator: Arc<str>,
    /// Monotonic clock before the coordinator was asked.
    pub before: MonotonicTime,
    /// Its clock, to the millisecond.
    pub answer: Micros,
    /// Monotonic clock when the answer was there.
    pub after: MonotonicTime,
}

impl Sample {
    /// Returns the interval that the answer allows; none if it took so long that it tells nothing.
    fn interval(&self) -> Option<Interval> {
        let in_time = self.after.since(self.before) <= ROUND_TRIP_MAX;
        let shown = (self.answer, self.answer + CUT_OFF);
        in_time.then(|| Interval::of_answer(self.before, self.after, shown))
    }
}

/// What follows from a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conclusion {
    /// How far the machine's wall clock is ahead of the reference time; none if the check was not
    /// good.
    pub machine: Option<Offset>,
    /// The coordinators that disagreed with the others and were left out.
    pub apart: Vec<Arc<str>>,
}

/// The state of the checks.
#[derive(Debug)]
pub struct Reference {
    verdict: ClockStatus,
    known: Option<Interval>,
    due: MonotonicTime,
    /// When the check under way began, and how far the machine's wall clock was ahead then.
    begun: Option<(MonotonicTime, Offset)>,
    /// Whether the machine's clock stepped since.
    void: bool,
    /// When the last good check began.
    good: MonotonicTime,
    /// How far the machine's wall clock was ahead of the monotonic one at that time, or after a
    /// later step.
    lead: Offset,
}

impl Reference {
    /// Returns the state before any question; a check is due at once. `lead` is how far the
    /// machine's wall clock is ahead of the monotonic one.
    pub const fn new(now: MonotonicTime, lead: Offset) -> Self {
        let verdict = ClockStatus::Unknown { why: ClockDoubt::Unasked, since: now };
        Self { verdict, known: None, due: now, begun: None, void: false, good: now, lead }
    }

    /// Whether the time is known.
    pub const fn verdict(&self) -> ClockStatus {
        self.verdict
    }

    /// The interval, if the verdict is that the time is known.
    pub fn interval(&self) -> Option<Interval> {
        self.known.filter(|_| self.verdict == ClockStatus::Known)
    }

    /// How far the machine's wall clock was ahead of the monotonic one at the last good check, or
    /// after the last step.
    pub const fn lead(&self) -> Offset {
        self.lead
    }

    /// Begins a check if one is due. Checks do not overlap.
    pub fn begin(&mut self, now: MonotonicTime, lead: Offset) -> bool {
        let begins = self.begun.is_none() && now >= self.due;
        if begins {
            (self.begun, self.void) = (Some((now, lead)), false);
        }
        begins
    }

    /// Looks for a step of the machine's wall clock, and for a check that is too old.
    pub fn look(&mut self, now: MonotonicTime, lead: Offset) {
        if lead.since(self.lead).is_beyond(STEP_MAX) {
            (self.lead, self.void, self.due) = (lead, true, now);
            self.known = None;
            self.doubt(ClockDoubt::Stepped, now);
        } else if now.since(self.good) > VALID_FOR {
            self.doubt(ClockDoubt::Unanswered, now);
        } else if self.aged(now, lead).is_some_and(|it| it.width() > UNCERTAINTY_MAX) {
            self.doubt(ClockDoubt::Unsure, now);
        }
    }

    /// Returns the previous interval as it is now. If the machine was paused with its monotonic
    /// clock, its wall clock is now further ahead of that clock than before.
    fn aged(&self, now: MonotonicTime, lead: Offset) -> Option<Interval> {
        self.known.map(|known| known.aged(now).raised(lead.since(self.lead).high))
    }

    /// Records that the time is no longer known.
    fn doubt(&mut self, why: ClockDoubt, since: MonotonicTime) {
        if self.verdict == ClockStatus::Known {
            self.verdict = ClockStatus::Unknown { why, since };
        }
    }

    /// Ends the check under way, of `coordinators` coordinators, with these answers. `now` and
    /// `lead` were read after the answers had come.
    pub fn conclude(
        &mut self,
        coordinators: usize,
        samples: &[Sample],
        now: MonotonicTime,
        lead: Offset,
    ) -> Conclusion {
        self.look(now, lead);
        let Some((begun, lead_then)) = self.begun.take() else { return Conclusion::default() };
        if std::mem::take(&mut self.void) {
            self.due = now;
            return Conclusion::default();
        }
        self.due = now + CHECK_AGAIN;
        let (agreed, apart) = agree(coordinators, samples, now);
        // The machine may have been paused while it waited for answers.
        let agreed = agreed.map(|agreed| agreed.raised(lead.since(lead_then).high));
        let machine = agreed.map(|agreed| self.assess(agreed, begun, now, lead));
        Conclusion { machine, apart }
    }

    /// Takes an interval that most coordinators agree on.
    fn assess(
        &mut self,
        agreed: Interval,
        begun: MonotonicTime,
        now: MonotonicTime,
        lead: Offset,
    ) -> Offset {
        let machine = Offset { low: lead.low - agreed.high, high: lead.high - agreed.low };
        if !machine.is_within(UNCERTAINTY_MAX) {
            (self.known, self.verdict) = (None, ClockStatus::Off(machine));
            return machine;
        }
        let before = self.aged(now, lead);
        let both = before.map_or(Some(agreed), |before| before.intersect(agreed));
        let (known, why) = match both {
            Some(both) if both.width() <= UNCERTAINTY_MAX => (both, None),
            Some(both) => (both, Some(ClockDoubt::Unsure)),
            None => (agreed, Some(ClockDoubt::Contradicted)),
        };
        (self.known, self.lead, self.good) = (Some(known), lead, begun);
        self.verdict =
            why.map_or(ClockStatus::Known, |why| ClockStatus::Unknown { why, since: now });
        if why.is_none() {
            self.due = (begun + CHECK_EVERY).max(now);
        }
        machine
    }
}

/// Returns an interval that contains the median of the clocks of `coordinators` coordinators, if
/// most of them answered and agree. Also returns those that disagree.
fn agree(
    coordinators: usize,
    samples: &[Sample],
    now: MonotonicTime,
) -> (Option<Interval>, Vec<Arc<str>>) {
    let answers = by_coordinator(samples, now);
    let Some((low, high)) = median(&answers) else { return (None, Vec::new()) };
    let within = AGREE_WITHIN.as_micros() as i64;
    let agrees = |it: &Interval| it.low <= high + within && it.high >= low - within;
    let (near, apart): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, it)| agrees(it));
    let is_most = near.len() * 2 > coordinators;
    let hull = near.iter().map(|(_, it)| *it).reduce(Interval::hull).filter(|_| is_most);
    // Without a majority that agrees it is not known which ones are wrong.
    let apart = apart.into_iter().map(|(name, _)| name).filter(|_| is_most).collect();
    (hull, apart)
}

/// What each coordinator states, as of now. Contradicting answers of one are taken together: its
/// clock was set between them.
fn by_coordinator(samples: &[Sample], now: MonotonicTime) -> Vec<(Arc<str>, Interval)> {
    let mut answers: Vec<(Arc<str>, Interval)> = Vec::new();
    for sample in samples {
        let Some(interval) = sample.interval().map(|it| it.aged(now)) else { continue };
        match answers.iter_mut().find(|(name, _)| *name == sample.coordinator) {
            Some((_, known)) => {
                *known = known.intersect(interval).unwrap_or_else(|| known.hull(interval));
            }
            None => answers.push((Arc::clone(&sample.coordinator), interval)),
        }
    }
    answers
}

/// The medians of the ends; of an even number the outer ones.
fn median(answers: &[(Arc<str>, Interval)]) -> Option<(i64, i64)> {
    let sorted = |end: fn(&Interval) -> i64| {
        let mut ends: Vec<i64> = answers.iter().map(|(_, it)| end(it)).collect();
        ends.sort_unstable();
        ends
    };
    let low = *sorted(|it| it.low).get(answers.len().saturating_sub(1) / 2)?;
    Some((low, *sorted(|it| it.high).get(answers.len() / 2)?))
}

#[cfg(test)]
mod tests;
