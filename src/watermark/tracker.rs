//! A node's watermark: every message acknowledged by any node up to it has reached every live
//! session here that shares it.
//!
//! The node agent drives this. It reads and writes the cluster table, reports events of the
//! subscriber connections, and carries out the [`WatermarkAction`]s that [`WatermarkTracker::poll`] gives.

mod canaries;
mod rounds;
mod subscribers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{WatermarkSnapshot, WatermarkState};
use crate::cluster::{
    DeliveryGap, FailureDetector, Heartbeat, Incarnation, Safeguard, Safeguards, ServerRun,
    ShardTag,
};
use crate::domain::{ClockReading, Micros, MonotonicTime};
pub use canaries::CANARY_LATE;
use canaries::CanaryRounds;
use rounds::RecoveryRounds;
use subscribers::Subscribers;

/// The longest time between the begins of two reads of the cluster table. Beyond it a heartbeat may
/// have come and gone unseen.
const READS_APART: Duration = Duration::from_mins(1);

/// Why a round reads for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundKind {
    /// Every subscription is confirmed again: the watermark moves unless another delivery gap comes
    /// meanwhile.
    Repair,
    /// The watermark stays frozen, and cursors go on.
    Pull,
}

/// A read for all sessions that are registered when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryRound {
    /// Its number.
    pub number: u64,
    /// Its purpose.
    pub kind: RoundKind,
    /// The read begins above this id, for the sessions that share the watermark.
    pub above: Micros,
    /// Up to which id the sessions have everything when it is done, if the clock is known.
    pub decided: Option<Micros>,
    gaps: u64,
    dying: SmallVec<[Incarnation; 2]>,
}

/// What the node agent must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatermarkAction {
    /// Send a canary of this number through every shard, to this node's own channel.
    Canaries(u64),
    /// Close this node's connections to a shard and resolve its primary's address again.
    BreakLinks(usize),
    /// Queue the watermark after everything that waits for each worker.
    Advance(Micros),
    /// Read for all sessions, then call [`WatermarkTracker::round_done`].
    Read(RecoveryRound),
    /// Report to the workers that a round is done, after everything that waits for them.
    Done {
        /// The round.
        round: RecoveryRound,
        /// The watermark now.
        watermark: Micros,
    },
}

/// The reads of the cluster table.
#[derive(Debug, Default)]
struct TableReads {
    /// When the one under way began.
    begun: Option<ClockReading>,
    /// When the last one that succeeded began.
    last: Option<MonotonicTime>,
}

impl TableReads {
    /// Ends the read under way. Returns when it began, and whether the one before was too long ago.
    fn end(&mut self) -> Option<(ClockReading, bool)> {
        let begin = self.begun.take()?;
        let last = self.last.replace(begin.moment);
        Some((begin, last.is_some_and(|last| begin.moment.since(last) > READS_APART)))
    }
}

/// A node's watermark.
#[derive(Debug)]
pub struct WatermarkTracker {
    view: Arc<WatermarkState>,
    detector: FailureDetector,
    subscribers: Subscribers,
    watermark: Micros,
    decided: Option<Micros>,
    reads: TableReads,
    canaries: CanaryRounds,
    rounds: RecoveryRounds,
    orders: VecDeque<WatermarkAction>,
    broken: Vec<DeliveryGap>,
    clock_known: bool,
    rules: Safeguards,
}

impl WatermarkTracker {
    /// Starts with nothing known and no shard connected.
    pub fn new(
        shards: impl IntoIterator<Item = ShardTag>,
        view: Arc<WatermarkState>,
        rules: Safeguards,
    ) -> Self {
        Self {
            view,
            detector: FailureDetector::new(rules),
            subscribers: Subscribers::new(shards),
            watermark: Micros::default(),
            decided: None,
            reads: TableReads::default(),
            canaries: CanaryRounds::default(),
            rounds: RecoveryRounds::default(),
            orders: VecDeque::new(),
            broken: Vec::new(),
            clock_known: true,
            rules,
        }
    }

    /// The watermark.
    pub const fn watermark(&self) -> Micros {
        self.watermark
    }

    /// The live heartbeats as last read.
    pub fn rows(&self) -> impl Iterator<Item = &Heartbeat> {
        self.detector.rows()
    }

    /// The delivery gaps that were detected here since the last call.
    pub fn take_gaps(&mut self) -> Vec<DeliveryGap> {
        std::mem::take(&mut self.broken)
    }

    /// Sets whether this node's clock is known to be right.
    pub const fn clock_is_known(&mut self, known: bool) {
        self.clock_known = known;
    }

    fn raise(&mut self, what: DeliveryGap) {
        self.view.open_gap();
        self.broken.push(what);
    }

    /// Begins a read of the cluster table; `now` was read before it was issued. Reads do not
    /// overlap.
    pub fn read_begins(&mut self, now: ClockReading) {
        debug_assert!(self.reads.begun.is_none(), "reads do not overlap");
        self.reads.begun = Some(now);
        let viewed = self.view.look();
        if !self.rules.on(Safeguard::CanaryAfterRead) && !viewed.frozen {
            self.send_canaries(None, viewed, now.moment);
        }
    }

    /// Ends the read without an answer.
    pub const fn read_fails(&mut self) {
        self.reads.begun = None;
    }

    /// Ends the read, which returned these rows.
    pub fn read_ends(&mut self, rows: Vec<Heartbeat>, end: MonotonicTime) {
        let Some((begin, is_gap)) = self.reads.end() else { return };
        if is_gap && self.rules.on(Safeguard::ReadGap) {
            self.raise(DeliveryGap::ReadGap);
        }
        let subscribers = &self.subscribers;
        let gaps = self.detector.read(rows, begin, end, |tag| subscribers.run(tag));
        gaps.into_iter().for_each(|what| self.raise(what));
        // Before the watermark may pass the ids that they cover.
        self.view.set_unknown(self.detector.unknown());
        if !self.clock_known {
            self.decided = None;
            return;
        }
        let bounds = self.detector.bounds(begin.wall);
        self.decided = Some(bounds.decided);
        self.view.decide(bounds.decided);
        // One snapshot: with two, a gap between them would count as an earlier one.
        let viewed = self.view.look();
        if !viewed.frozen {
            self.may_advance(bounds.settled, viewed, end);
        }
    }

    fn may_advance(&mut self, watermark: Micros, viewed: WatermarkSnapshot, now: MonotonicTime) {
        if !self.rules.on(Safeguard::Canary) {
            return self.advance(watermark);
        }
        if self.canaries.complete_early(watermark) {
            self.conclude_canaries();
        } else {
            self.send_canaries(Some(watermark), viewed, now);
        }
    }

    fn send_canaries(
        &mut self,
        watermark: Option<Micros>,
        viewed: WatermarkSnapshot,
        now: MonotonicTime,
    ) {
        let shards = self.subscribers.count();
        if let Some(number) = self.canaries.start(watermark, viewed.gaps, shards, now) {
            self.orders.push_back(WatermarkAction::Canaries(number));
        }
    }

    /// Notes that a canary came back over the subscriber connection to a shard.
    pub fn canary_back(&mut self, shard: usize, number: u64) {
        self.canaries.back(shard, number);
        self.conclude_canaries();
    }

    fn conclude_canaries(&mut self) {
        if let Some((watermark, gaps)) = self.canaries.take_complete()
            && gaps == self.view.gaps()
        {
            self.advance(watermark);
        }
    }

    fn advance(&mut self, watermark: Micros) {
        self.raise_watermark(watermark);
        self.detector.exclude_left();
        self.orders.push_back(WatermarkAction::Advance(self.watermark));
    }

    fn raise_watermark(&mut self, watermark: Micros) {
        self.watermark = self.watermark.max(watermark);
        self.view.advance_watermark(self.watermark);
    }

    /// Notes that a subscriber connection to this run is up; nothing is subscribed yet.
    pub fn connected(&mut self, shard: usize, run: ServerRun) {
        self.subscribers.connected(shard, run);
    }

    /// Notes that everything that was needed when the connection came up is subscribed.
    pub fn whole(&mut self, shard: usize) {
        self.subscribers.set_whole(shard, true);
    }

    /// Notes that a subscriber connection is gone.
    pub fn lost(&mut self, shard: usize) {
        self.subscribers.lost(shard);
        self.raise(DeliveryGap::LinkLost);
    }

    /// Returns what to do next, if anything. It is called after time passed or an event happened.
    pub fn poll(&mut self, now: MonotonicTime) -> Option<WatermarkAction> {
        self.check_canaries(now);
        self.check_disagreement(now);
        self.begin_round(now);
        self.orders.pop_front()
    }

    fn check_canaries(&mut self, now: MonotonicTime) {
        if let Some(shards) = self.canaries.take_late(self.view.gaps(), now) {
            self.raise(DeliveryGap::CanaryLate);
            shards.into_iter().for_each(|shard| self.request_reconnect(shard));
        }
    }

    /// Nothing is repaired on a connection that is to be closed.
    fn request_reconnect(&mut self, shard: usize) {
        self.subscribers.set_whole(shard, false);
        self.orders.push_back(WatermarkAction::BreakLinks(shard));
    }

    /// Resolves the address of a shard again when other nodes publish to another run for too long.
    /// A node still connected to a demoted primary sees no error.
    fn check_disagreement(&mut self, now: MonotonicTime) {
        if !self.view.look().frozen || self.agrees() {
            self.subscribers.agree();
        } else if self.subscribers.disagree_for_long(now) {
            for shard in self.subscribers.differing(&self.detector) {
                self.request_reconnect(shard);
            }
        }
    }

    fn agrees(&self) -> bool {
        self.detector.agrees(|tag| self.subscribers.run(tag))
    }

    fn begin_round(&mut self, now: MonotonicTime) {
        let viewed = self.view.look();
        if !viewed.frozen {
            self.rounds.thaw();
            return;
        }
        self.rounds.freeze(now);
        if self.rounds.is_under_way() || self.reads.last.is_none() {
            return;
        }
        let kind = if self.is_repairable(now) {
            RoundKind::Repair
        } else if self.rounds.pull_is_due(now) && self.rules.on(Safeguard::PullRounds) {
            RoundKind::Pull
        } else {
            return;
        };
        let round = RecoveryRound {
            number: self.rounds.next_number(),
            kind,
            above: self.watermark,
            decided: self.decided,
            gaps: viewed.gaps,
            dying: self.detector.dying(),
        };
        self.rounds.begin(round.clone(), now);
        self.orders.push_back(WatermarkAction::Read(round));
    }

    fn is_repairable(&self, now: MonotonicTime) -> bool {
        let is_confirmed = self.subscribers.all_up(self.rules.on(Safeguard::RepairAfterConfirmed));
        is_confirmed
            && (self.agrees() || !self.rules.on(Safeguard::RepairAfterAgreement))
            && self.rounds.repair_may_begin(now)
    }

    /// Ends the round under way. Every session that was registered when it began was read for, or
    /// keeps its own cursor.
    pub fn round_done(&mut self, number: u64) {
        let Some(round) = self.rounds.end(number) else { return };
        self.raise_watermark(round.decided.unwrap_or_default());
        if round.kind == RoundKind::Repair {
            if self.view.gaps() == round.gaps {
                self.detector.exclude(&round.dying);
            }
            let whole = self.rules.on(Safeguard::NoBreakSince);
            self.view.close_gaps(if whole { round.gaps } else { self.view.gaps() });
        }
        let watermark = self.watermark;
        self.orders.push_back(WatermarkAction::Done { round, watermark });
    }
}

#[cfg(test)]
mod tests;
