//! When the watermark stands still, and so all cursors of the node's sessions.

use std::time::Duration;

use crate::cluster::DeliveryGap;
use crate::domain::MonotonicTime;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorNews {
    /// The watermark stands still from now on.
    Stopped,
    /// It moves again, after this time.
    Moves(Duration),
}

/// Since when the watermark stands still. Before it has moved once, the node only starts.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    has_moved: bool,
    since: Option<MonotonicTime>,
}

impl Standstill {
    /// Records whether the watermark stands still.
    pub(super) fn note(&mut self, stands_still: bool, now: MonotonicTime) -> Option<CursorNews> {
        if !stands_still {
            self.has_moved = true;
            return self.since.take().map(|since| CursorNews::Moves(now.since(since)));
        }
        if !self.has_moved || self.since.is_some() {
            return None;
        }
        self.since = Some(now);
        Some(CursorNews::Stopped)
    }
}

/// Says what a delivery gap is, to an operator.
pub(super) const fn explained(gap: DeliveryGap) -> &'static str {
    match gap {
        DeliveryGap::LinkLost => "a shard is lost",
        DeliveryGap::Overflow => "a queue inside this node was full",
        DeliveryGap::CanaryLate => "a shard delivers too late, or not at all",
        DeliveryGap::RunDiffers => "nodes publish to different servers of one shard",
        DeliveryGap::EpochMoved => "another node had lost a shard",
        DeliveryGap::GapMoved => "a node could not publish everything",
        DeliveryGap::Dead => "a node is dead",
        DeliveryGap::Vanished => "the row of a node is gone from the cluster table",
        DeliveryGap::ReadGap => "the cluster table was not read for too long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standstill_is_told_once_at_both_ends() {
        let mut standstill = Standstill::default();
        let at = |seconds| MonotonicTime::default() + Duration::from_secs(seconds);
        assert_eq!(standstill.note(true, at(0)), None, "a node that starts");
        assert_eq!(standstill.note(false, at(1)), None);
        assert_eq!(standstill.note(true, at(2)), Some(CursorNews::Stopped));
        assert_eq!(standstill.note(true, at(30)), None);
        let moves = CursorNews::Moves(Duration::from_secs(34));
        assert_eq!(standstill.note(false, at(36)), Some(moves));
        assert_eq!(standstill.note(false, at(37)), None);
    }
}
