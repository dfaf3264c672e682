//! A node's watermark: every message acknowledged by any node up to it has reached every live
//! session here that shares it.
//!
//! The node agent drives this. It reads and writes the cluster table, reports events of the
//! subscriber connections, and carries out the [`WatermarkAction`]s that [`WatermarkTracker::poll`] gives.

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

/// How long a canary may be under way.
pub const CANARY_LATE: Duration = Duration::from_secs(3);

/// From one pull round to the next, begin to begin.
const PULL_EVERY: Duration = Duration::from_secs(10);

/// The least time from one repair to the next, begin to begin: delivery gaps may come faster.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);

/// The longest time between the begins of two reads of the cluster table. Beyond it a heartbeat may
/// have come and gone unseen.
const READS_APART: Duration = Duration::from_mins(1);

/// How long others may publish to another run until this node resolves its shard's address again:
/// it may still be connected to a demoted primary. The wait doubles while that does not help.
const DISAGREE: Duration = Duration::from_secs(10);

/// The longest such wait.
const DISAGREE_MAX: Duration = Duration::from_mins(5);

/// A subscriber connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// There is none.
    Down,
    /// It is there.
    Up {
        /// The run it is connected to.
        run: ServerRun,
        /// Whether everything that was needed when it came up is subscribed and confirmed.
        whole: bool,
    },
}

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
    breaks: u64,
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

#[derive(Debug)]
struct Canaries {
    number: u64,
    breaks: u64,
    sent: MonotonicTime,
    /// None only where the simulation sends them too early.
    watermark: Option<Micros>,
    /// Shards whose canary has not come back.
    waiting: SmallVec<[usize; 4]>,
}

#[derive(Debug, Clone, Copy)]
struct Disagreement {
    since: MonotonicTime,
    wait: Duration,
}

/// A node's watermark.
#[derive(Debug)]
pub struct WatermarkTracker {
    view: Arc<WatermarkState>,
    detector: FailureDetector,
    shards: Vec<(ShardTag, Heard)>,
    watermark: Micros,
    decided: Option<Micros>,
    reading: Option<ClockReading>,
    last_read: Option<MonotonicTime>,
    canaries: Option<Canaries>,
    canary_rounds: u64,
    round: Option<RecoveryRound>,
    rounds: u64,
    /// Since when it is frozen, or when the last round began.
    pull_since: Option<MonotonicTime>,
    last_repair: Option<MonotonicTime>,
    disagreement: Option<Disagreement>,
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
            shards: shards.into_iter().map(|shard| (shard, Heard::Down)).collect(),
            watermark: Micros::default(),
            decided: None,
            reading: None,
            last_read: None,
            canaries: None,
            canary_rounds: 0,
            round: None,
            rounds: 0,
            pull_since: None,
            last_repair: None,
            disagreement: None,
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
    pub fn take_breaks(&mut self) -> Vec<DeliveryGap> {
        std::mem::take(&mut self.broken)
    }

    /// Sets whether this node's clock is known to be right.
    pub const fn clock_is_known(&mut self, known: bool) {
        self.clock_known = known;
    }

    fn raise(&mut self, what: DeliveryGap) {
        self.view.raise();
        self.broken.push(what);
    }

    /// Begins a read of the cluster table; `now` was read before it was issued. Reads do not
    /// overlap.
    pub fn read_begins(&mut self, now: ClockReading) {
        debug_assert!(self.reading.is_none(), "reads do not overlap");
        self.reading = Some(now);
        let viewed = self.view.look();
        if !self.rules.on(Safeguard::CanaryAfterRead) && !viewed.frozen {
            self.send_canaries(None, viewed, now.moment);
        }
    }

    /// Ends the read without an answer.
    pub const fn read_fails(&mut self) {
        self.reading = None;
    }

    /// Ends the read, which returned these rows.
    pub fn read_ends(&mut self, rows: Vec<Heartbeat>, end: MonotonicTime) {
        let Some(begin) = self.reading.take() else { return };
        let apart = self.last_read.replace(begin.moment).map(|last| begin.moment.since(last));
        if apart.is_some_and(|apart| apart > READS_APART) && self.rules.on(Safeguard::ReadGap) {
            self.raise(DeliveryGap::ReadGap);
        }
        let shards = &self.shards;
        let breaks = self.detector.read(rows, begin, end, |tag| run_heard(shards, tag));
        breaks.into_iter().for_each(|what| self.raise(what));
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
        match &mut self.canaries {
            Some(early) if early.watermark.is_none() => {
                early.watermark = Some(watermark);
                self.conclude_canaries();
            }
            _ => self.send_canaries(Some(watermark), viewed, now),
        }
    }

    fn send_canaries(
        &mut self,
        watermark: Option<Micros>,
        viewed: WatermarkSnapshot,
        now: MonotonicTime,
    ) {
        if self.canaries.is_some() {
            // The round under way is checked first: if it were replaced, it could never be late.
            return;
        }
        self.canary_rounds += 1;
        self.canaries = Some(Canaries {
            number: self.canary_rounds,
            breaks: viewed.breaks,
            sent: now,
            watermark,
            waiting: (0..self.shards.len()).collect(),
        });
        self.orders.push_back(WatermarkAction::Canaries(self.canary_rounds));
    }

    /// Notes that a canary came back over the subscriber connection to a shard.
    pub fn canary_back(&mut self, shard: usize, number: u64) {
        if let Some(canaries) = &mut self.canaries
            && canaries.number == number
        {
            canaries.waiting.retain(|waiting| *waiting != shard);
            self.conclude_canaries();
        }
    }

    fn conclude_canaries(&mut self) {
        let is_done = |canaries: &mut Canaries| canaries.waiting.is_empty();
        let done = self.canaries.take_if(|c| c.watermark.is_some() && is_done(c));
        if let Some(canaries) = done
            && canaries.breaks == self.view.breaks()
            && let Some(watermark) = canaries.watermark
        {
            self.advance(watermark);
        }
    }

    fn advance(&mut self, watermark: Micros) {
        self.watermark = self.watermark.max(watermark);
        self.detector.exclude_left();
        self.orders.push_back(WatermarkAction::Advance(self.watermark));
    }

    /// Notes that a subscriber connection to this run is up; nothing is subscribed yet.
    pub fn connected(&mut self, shard: usize, run: ServerRun) {
        self.shards[shard].1 = Heard::Up { run, whole: false };
    }

    /// Notes that everything that was needed when the connection came up is subscribed.
    pub fn whole(&mut self, shard: usize) {
        if let Heard::Up { whole, .. } = &mut self.shards[shard].1 {
            *whole = true;
        }
    }

    /// Notes that a subscriber connection is gone.
    pub fn lost(&mut self, shard: usize) {
        self.shards[shard].1 = Heard::Down;
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
        let breaks = self.view.breaks();
        self.canaries.take_if(|canaries| canaries.breaks != breaks);
        let late = self.canaries.take_if(|canaries| now.since(canaries.sent) > CANARY_LATE);
        if let Some(canaries) = late {
            self.raise(DeliveryGap::CanaryLate);
            canaries.waiting.into_iter().for_each(|shard| self.break_links(shard));
        }
    }

    /// Nothing is repaired on a connection that is to be closed.
    fn break_links(&mut self, shard: usize) {
        if let Heard::Up { whole, .. } = &mut self.shards[shard].1 {
            *whole = false;
        }
        self.orders.push_back(WatermarkAction::BreakLinks(shard));
    }

    /// Resolves the address of a shard again when other nodes publish to another run for too long.
    /// A node still connected to a demoted primary sees no error.
    fn check_disagreement(&mut self, now: MonotonicTime) {
        let settled = !self.view.look().frozen || self.agrees();
        if settled {
            // While its address is resolved a shard is down and agrees with every node, since
            // nothing is known.
            let all_up = self.shards.iter().all(|(_, heard)| *heard != Heard::Down);
            self.disagreement.take_if(|_| all_up);
            return;
        }
        let fresh = Disagreement { since: now, wait: DISAGREE };
        let Disagreement { since, wait } = *self.disagreement.get_or_insert(fresh);
        if now.since(since) < wait {
            return;
        }
        self.disagreement = Some(Disagreement { since: now, wait: (wait * 2).min(DISAGREE_MAX) });
        let shards = &self.shards;
        let differs = |index: &usize| {
            let only = |tag| if tag == shards[*index].0 { run_heard(shards, tag) } else { None };
            !self.detector.agrees(only)
        };
        let differing: SmallVec<[usize; 4]> = (0..shards.len()).filter(differs).collect();
        differing.into_iter().for_each(|shard| self.break_links(shard));
    }

    fn agrees(&self) -> bool {
        self.detector.agrees(|tag| run_heard(&self.shards, tag))
    }

    fn begin_round(&mut self, now: MonotonicTime) {
        let viewed = self.view.look();
        if !viewed.frozen {
            self.pull_since = None;
            return;
        }
        let pull_since = *self.pull_since.get_or_insert(now);
        if self.round.is_some() || self.last_read.is_none() {
            return;
        }
        let kind = if self.is_repairable(now) {
            self.last_repair = Some(now);
            RoundKind::Repair
        } else if now.since(pull_since) >= PULL_EVERY && self.rules.on(Safeguard::PullRounds) {
            RoundKind::Pull
        } else {
            return;
        };
        self.pull_since = Some(now);
        self.rounds += 1;
        let round = RecoveryRound {
            number: self.rounds,
            kind,
            above: self.watermark,
            decided: self.decided,
            breaks: viewed.breaks,
            dying: self.detector.dying(),
        };
        self.round = Some(round.clone());
        self.orders.push_back(WatermarkAction::Read(round));
    }

    fn is_repairable(&self, now: MonotonicTime) -> bool {
        let is_whole = |(_, heard): &(ShardTag, Heard)| match heard {
            Heard::Up { whole, .. } => *whole || !self.rules.on(Safeguard::RepairAfterConfirmed),
            Heard::Down => false,
        };
        self.shards.iter().all(is_whole)
            && (self.agrees() || !self.rules.on(Safeguard::RepairAfterAgreement))
            && self.last_repair.is_none_or(|last| now.since(last) >= REPAIR_PAUSE)
    }

    /// Ends the round under way. Every session that was registered when it began was read for, or
    /// keeps its own cursor.
    pub fn round_done(&mut self, number: u64) {
        let Some(round) = self.round.take_if(|round| round.number == number) else { return };
        self.watermark = self.watermark.max(round.decided.unwrap_or_default());
        if round.kind == RoundKind::Repair {
            if self.view.breaks() == round.breaks {
                self.detector.exclude(&round.dying);
            }
            let whole = self.rules.on(Safeguard::NoBreakSince);
            self.view.heal(if whole { round.breaks } else { self.view.breaks() });
        }
        let watermark = self.watermark;
        self.orders.push_back(WatermarkAction::Done { round, watermark });
    }
}

fn run_heard(shards: &[(ShardTag, Heard)], tag: ShardTag) -> Option<ServerRun> {
    let (_, heard) = shards.iter().find(|(shard, _)| *shard == tag)?;
    match heard {
        Heard::Up { run, .. } => Some(*run),
        Heard::Down => None,
    }
}

#[cfg(test)]
mod tests;
