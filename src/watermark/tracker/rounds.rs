//! When recovery rounds begin.

use std::time::Duration;

use super::{RecoveryRound, RoundKind};
use crate::domain::MonotonicTime;

/// From one pull round to the next, begin to begin.
const PULL_EVERY: Duration = Duration::from_secs(10);

/// The least time from one repair to the next, begin to begin: delivery gaps may come faster.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);

/// The round under way, if there is one, and the times of the last ones.
#[derive(Debug, Default)]
pub(super) struct RecoveryRounds {
    under_way: Option<RecoveryRound>,
    count: u64,
    /// Since when the watermark is frozen, or when the last round began.
    pull_since: Option<MonotonicTime>,
    last_repair: Option<MonotonicTime>,
}

impl RecoveryRounds {
    pub const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Records that the watermark is not frozen.
    pub const fn thaw(&mut self) {
        self.pull_since = None;
    }

    /// Records that the watermark is frozen.
    pub fn freeze(&mut self, now: MonotonicTime) {
        self.pull_since.get_or_insert(now);
    }

    /// Returns whether the watermark is frozen for so long that cursors need a pull round.
    pub fn pull_is_due(&self, now: MonotonicTime) -> bool {
        self.pull_since.is_some_and(|since| now.since(since) >= PULL_EVERY)
    }

    /// Returns whether the last repair is not too recent.
    pub fn repair_may_begin(&self, now: MonotonicTime) -> bool {
        self.last_repair.is_none_or(|last| now.since(last) >= REPAIR_PAUSE)
    }

    /// Returns the number that the next round must have.
    pub const fn next_number(&self) -> u64 {
        self.count + 1
    }

    pub fn begin(&mut self, round: RecoveryRound, now: MonotonicTime) {
        self.count = round.number;
        self.pull_since = Some(now);
        if round.kind == RoundKind::Repair {
            self.last_repair = Some(now);
        }
        self.under_way = Some(round);
    }

    /// Ends the round of this number, if it is the one under way.
    pub fn end(&mut self, number: u64) -> Option<RecoveryRound> {
        self.under_way.take_if(|round| round.number == number)
    }
}
