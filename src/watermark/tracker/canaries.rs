//! Rounds of canaries: the node's messages to itself through every shard. The watermark moves to
//! where a read put it only when all of a round came back.

use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::{Micros, MonotonicTime};

/// How long a canary may be under way.
pub const CANARY_LATE: Duration = Duration::from_secs(3);

/// The round under way, if there is one, and how many there were.
#[derive(Debug, Default)]
pub(super) struct CanaryRounds {
    under_way: Option<Canaries>,
    count: u64,
}

#[derive(Debug)]
struct Canaries {
    number: u64,
    gaps: u64,
    sent: MonotonicTime,
    /// None only where the simulation sends them too early.
    watermark: Option<Micros>,
    /// Shards whose canary has not come back.
    waiting: SmallVec<[usize; 4]>,
}

impl CanaryRounds {
    /// Starts a round after this number of delivery gaps, and returns its own number. The round
    /// under way is checked first: if it were replaced, it could never be late.
    pub fn start(
        &mut self,
        watermark: Option<Micros>,
        gaps: u64,
        shards: usize,
        now: MonotonicTime,
    ) -> Option<u64> {
        if self.under_way.is_some() {
            return None;
        }
        self.count += 1;
        let (number, waiting) = (self.count, (0..shards).collect());
        self.under_way = Some(Canaries { number, gaps, sent: now, watermark, waiting });
        Some(number)
    }

    /// Gives its watermark to a round that was sent before the read. Returns whether there was one.
    pub fn complete_early(&mut self, watermark: Micros) -> bool {
        let early = self.under_way.as_mut().filter(|canaries| canaries.watermark.is_none());
        early.is_some_and(|canaries| canaries.watermark.replace(watermark).is_none())
    }

    /// Records that a canary of the round of this number came back.
    pub fn back(&mut self, shard: usize, number: u64) {
        if let Some(canaries) = self.under_way.as_mut().filter(|it| it.number == number) {
            canaries.waiting.retain(|waiting| *waiting != shard);
        }
    }

    /// Ends the round if all canaries are back. Returns its watermark, and how many delivery gaps
    /// there were when it began.
    pub fn take_complete(&mut self) -> Option<(Micros, u64)> {
        let watermark = self.under_way.as_ref()?.watermark?;
        let complete = self.under_way.take_if(|canaries| canaries.waiting.is_empty())?;
        Some((watermark, complete.gaps))
    }

    /// Drops the round if there was a delivery gap since it began. Ends it if it is late, and
    /// returns the shards that it waits for.
    pub fn take_late(&mut self, gaps: u64, now: MonotonicTime) -> Option<SmallVec<[usize; 4]>> {
        self.under_way.take_if(|canaries| canaries.gaps != gaps);
        let late = self.under_way.take_if(|canaries| now.since(canaries.sent) > CANARY_LATE);
        late.map(|canaries| canaries.waiting)
    }
}
