//! The node agent, the loop that controls a node. It writes and reads the cluster table, fences,
//! detects delivery gaps and moves the watermark. It has a thread of its own, so that a busy worker
//! does not cost a lease.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`NodeAgent`], the loop |
//! | `heartbeats` | the node's own heartbeats: snapshots, writes, leases, fences |
//! | `peers` | reads of the cluster table, and what follows from them |
//! | `join_check` | how the node is checked against the live heartbeats |
//! | `clock_check` | checks of the node's time against the store's |
//! | `standstill` | what the log says when cursors stand still |
//! | `health` | the node's health issues |
//! | `cluster_table` | the live nodes, for operators |
//! | `canary_echoes` | how long canaries take |

mod canary_echoes;
mod clock_check;
mod cluster_table;
mod health;
mod heartbeats;
mod join_check;
mod peers;
mod standstill;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::bus::BootId;
use crate::clock::{Readable, WallClock};
use crate::cluster::{DeliveryGap, EnvelopeForm, Heartbeat, Safeguards, ShardTag};
use crate::delivery::{RoundPart, WorkerCommand, WorkerQueues};
use crate::domain::{Micros, MonotonicTime};
use crate::interest::WildcardFeed;
use crate::layout::Layout;
use crate::shards::{ReconnectSignal, ShardEvent};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::watermark::{RecoveryRound, WatermarkAction, WatermarkState, WatermarkTracker};
use canary_echoes::CanaryEchoes;
use clock_check::ClockSync;
use heartbeats::HeartbeatWriter;
use peers::PeerReader;
use standstill::{CursorNews, Standstill, explained};

pub use cluster_table::{ClusterTable, LiveNode};
pub use health::{HealthIssue, NodeHealth};

/// The time between two turns of the loop.
const TICK: Duration = Duration::from_millis(100);

/// How long the node reports publishes of another store's nodes, after the last one. Each of those
/// nodes publishes something every few seconds.
const FOREIGN_FOR: Duration = Duration::from_mins(1);

/// How long a subscriber connection must be gone before the node counts as cut off, if others are
/// not.
const LOST_FOR: Duration = Duration::from_secs(5);

/// How long a clean end may take to write the last heartbeat, beside what
/// `timeouts.drain_timeout_ms` leaves.
const LAST_ROW: Duration = Duration::from_secs(2);

/// What the node says of itself in its heartbeats, and compares with those of others.
#[derive(Debug)]
pub struct NodeDescription {
    /// The node's name.
    pub node: String,
    /// This start of the node.
    pub boot: BootId,
    /// When it started.
    pub started: Micros,
    /// Where clients connect.
    pub address: String,
    /// The shards, in the order of their indices.
    pub shards: Vec<String>,
    /// The layout that the node publishes by.
    pub publish: Layout,
    /// The layouts that it subscribes to.
    pub subscribe: Vec<Layout>,
    /// The form of the node's envelopes.
    pub envelopes: EnvelopeForm,
}

/// The inputs of the node agent.
#[derive(Debug)]
pub struct NodeAgentOptions {
    /// The node.
    pub about: NodeDescription,
    /// The store of the cluster table.
    pub store: Arc<dyn Store>,
    /// The node's clock.
    pub clock: WallClock,
    /// The watermark's state, shared by all threads.
    pub watermark_state: Arc<WatermarkState>,
    /// The workers' queues.
    pub worker_queues: Arc<WorkerQueues>,
    /// Asks shard connections to reconnect.
    pub reconnect: Arc<ReconnectSignal>,
    /// The node's health, for others to read.
    pub standing: Arc<NodeHealth>,
    /// Which workers and nodes take the wildcard feed.
    pub feed: Arc<WildcardFeed>,
    /// How many nodes are live, for the choice of a publish's targets.
    pub nodes: Arc<AtomicU32>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// What operators are told of all nodes.
    pub table: Arc<ClusterTable>,
    /// How long a read of the cluster table may take.
    pub read: Duration,
}

/// The loop.
#[derive(Debug)]
pub struct NodeAgent {
    plan: Arc<NodeAgentOptions>,
    watch: WatermarkTracker,
    rows: HeartbeatWriter,
    reads: PeerReader,
    time: ClockSync,
    /// Since when each subscriber connection is gone.
    lost: Vec<Option<MonotonicTime>>,
    /// How many publishes of another store were counted, and when the last one came.
    foreign: (u64, Option<MonotonicTime>),
    round: Option<(RecoveryRound, u64)>,
    standstill: Standstill,
    /// The boot whose envelopes could not be read, which is logged once.
    unreadable: Option<[u8; 16]>,
    parts: (mpsc::Sender<RoundPart>, mpsc::Receiver<RoundPart>),
    echoes: CanaryEchoes,
}

impl NodeAgent {
    /// A loop that has not begun.
    pub fn new(plan: NodeAgentOptions) -> Self {
        let plan = Arc::new(plan);
        plan.metrics.watermark.show_gaps(DeliveryGap::ALL.map(DeliveryGap::name));
        let tags = plan.about.shards.iter().map(|name| ShardTag::of(name));
        let mut watch =
            WatermarkTracker::new(tags, Arc::clone(&plan.watermark_state), Safeguards::default());
        // First, since the other steps depend on it.
        let time = ClockSync::new(Arc::clone(&plan));
        let (rows, reads) =
            (HeartbeatWriter::new(Arc::clone(&plan)), PeerReader::new(Arc::clone(&plan)));
        let parts = mpsc::channel(plan.worker_queues.count());
        let lost = vec![None; plan.about.shards.len()];
        watch.clock_is_known(plan.clock.is_known());
        let foreign = (0, None);
        let standstill = Standstill::default();
        let echoes = CanaryEchoes::new(&plan.about.shards, &plan.metrics);
        Self {
            echoes,
            plan,
            watch,
            rows,
            reads,
            time,
            lost,
            foreign,
            round: None,
            standstill,
            unreadable: None,
            parts,
        }
    }

    /// Runs until `end` resolves, then writes the last heartbeat. From `stop` on the node states
    /// that it is draining.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<ShardEvent>,
        stop: CancellationToken,
        end: impl Future<Output = ()>,
    ) {
        let (mut end, mut stopped) = (std::pin::pin!(end), false);
        let mut feed = self.plan.feed.changes();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = stop.cancelled(), if !stopped => {
                    stopped = true;
                    self.rows.drain();
                }
                Some(event) = events.recv() => self.happened(event),
                Some(part) = self.parts.1.recv() => self.part_done(part),
                rows = self.reads.returned() => self.read_returned(rows),
                () = self.rows.progress() => {}
                samples = self.time.returned() => self.time.conclude(&samples),
                // The heartbeat's flags of wide patterns changed, or are waited for.
                Ok(()) = feed.changed() => {
                    self.rows.feed_changed();
                    self.reads.hurry();
                },
                _ = ticks.tick() => {}
            }
            self.turn();
        }
        if tokio::time::timeout(LAST_ROW, self.rows.leave()).await.is_err() {
            tracing::warn!(
                "the last heartbeat was not written in time: other nodes will declare \
                this node dead"
            );
        }
    }

    /// Does what is due now.
    fn turn(&mut self) {
        if self.time.turn() {
            self.time_changed();
        }
        self.rows.turn();
        if let Some(begun) = self.reads.begin() {
            // A read that began while the time was not known is void, even if the time is known
            // when it returns. So the tracker learns of a known time before the next read begins.
            self.watch.clock_is_known(self.plan.clock.is_known());
            self.watch.read_begins(begun);
        }
        let now = self.plan.clock.moment();
        self.look_for_foreigners(now);
        self.plan.standing.keep(self.troubles(now));
        while let Some(order) = self.watch.poll(now) {
            self.carry_out(order);
        }
        let mut why = None;
        for what in self.watch.take_gaps() {
            self.plan.metrics.watermark.gaps(what.name()).inc();
            tracing::debug!(cause = what.name(), "a delivery gap");
            why = Some(explained(what));
        }
        self.plan.metrics.watermark.micros.set(self.watch.watermark().0 as i64);
        let stands_still = self.stands_still(now);
        self.plan.metrics.watermark.frozen.set(stands_still.into());
        if let Some(news) = self.standstill.note(stands_still, now) {
            self.log_cursors(news, why, now);
        }
    }

    /// Logs that cursors stand still or move again: each standstill has one line at both ends.
    fn log_cursors(&self, news: CursorNews, gap: Option<&str>, now: MonotonicTime) {
        let why = match news {
            CursorNews::Moves(after) => {
                tracing::info!("cursors move again after {}", Readable(after));
                return;
            }
            CursorNews::Stopped if !self.plan.clock.is_known() => "the time is not known",
            CursorNews::Stopped if self.reads.are_late(now) => "the cluster table cannot be read",
            CursorNews::Stopped if self.has_lost_its_lease() => "this node has no lease",
            CursorNews::Stopped => gap.unwrap_or("live delivery may have missed a message"),
        };
        tracing::warn!(
            "cursors stand still ({why}): sessions go on, what live delivery misses is read from \
             the store, and a client that resumes meanwhile gets more messages again"
        );
    }

    /// Returns whether the watermark cannot move.
    fn stands_still(&self, now: MonotonicTime) -> bool {
        self.plan.watermark_state.look().frozen
            || !self.plan.clock.is_known()
            || self.reads.are_late(now)
            || self.has_lost_its_lease()
    }

    fn has_lost_its_lease(&self) -> bool {
        self.reads.is_serving() && self.plan.watermark_state.lease().is_none()
    }

    /// Records whether another store's publishes came since the last turn.
    fn look_for_foreigners(&mut self, now: MonotonicTime) {
        let count = self.plan.metrics.bus.foreign.get();
        if count > self.foreign.0 {
            self.foreign = (count, Some(now));
        }
    }

    /// Returns the node's health issues with its store, and with another store's nodes.
    fn troubles(&self, now: MonotonicTime) -> Vec<HealthIssue> {
        let hears_foreigners = self.foreign.1.is_some_and(|last| now.since(last) < FOREIGN_FOR);
        let troubles = [
            self.reads.are_late(now).then_some(HealthIssue::Unread),
            self.has_lost_its_lease().then_some(HealthIssue::NoLease),
            hears_foreigners.then_some(HealthIssue::Foreign),
        ];
        troubles.into_iter().flatten().collect()
    }

    /// Handles that the node's time became known or unknown. While it is unknown no cursor moves.
    /// Sends whose ids are not acknowledged yet are answered `outcome_unknown`, since their
    /// incarnation is over.
    fn time_changed(&mut self) {
        if self.plan.clock.is_known() {
            self.rows.resume();
            self.reads.hurry();
        } else {
            self.watch.clock_is_known(false);
            self.rows.suspend();
        }
    }

    fn happened(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Connected { shard, run } => {
                self.lost[shard.0 as usize] = None;
                self.plan.metrics.shards.subscriber_connects.inc();
                self.watch.connected(shard.0 as usize, run);
            }
            ShardEvent::Resubscribed { shard } => self.watch.whole(shard.0 as usize),
            ShardEvent::Lost { shard } => {
                self.lost[shard.0 as usize] = Some(self.plan.clock.moment());
                self.watch.lost(shard.0 as usize);
            }
            ShardEvent::Canary { shard, number } => {
                self.echoes.back(shard.0 as usize, number, self.plan.clock.moment());
                self.watch.canary_back(shard.0 as usize, number);
            }
        }
    }

    fn carry_out(&mut self, order: WatermarkAction) {
        match order {
            WatermarkAction::Canaries(number) => {
                self.echoes.sent(number, self.plan.clock.moment());
                let worker = number % self.plan.worker_queues.count() as u64;
                self.plan.worker_queues.of(worker as u32).command(WorkerCommand::Canaries(number));
            }
            WatermarkAction::BreakLinks(shard) => {
                tracing::warn!(
                    "shard {} does not deliver, or nodes use different servers for it: it is \
                     connected to again",
                    self.plan.about.shards[shard]
                );
                self.plan.reconnect.request_reconnect(shard);
            }
            WatermarkAction::Advance(watermark) => {
                self.plan.worker_queues.tell_all(&WorkerCommand::AdvanceWatermark(watermark));
            }
            WatermarkAction::Read(round) => {
                tracing::debug!(number = round.number, "a recovery round begins");
                self.plan
                    .worker_queues
                    .tell_all(&WorkerCommand::StartRound(round.clone(), self.parts.0.clone()));
                self.round = Some((round, self.plan.worker_queues.all()));
            }
            WatermarkAction::Done { round, watermark } => {
                self.plan.metrics.recovery.rounds[round.kind as usize].inc();
                self.plan.worker_queues.tell_all(&WorkerCommand::FinishRound(round, watermark));
            }
        }
    }

    fn part_done(&mut self, part: RoundPart) {
        let Some((round, waiting)) = &mut self.round else { return };
        if round.number != part.round {
            return;
        }
        *waiting &= !(1 << part.worker);
        if *waiting == 0 {
            let number = round.number;
            self.round = None;
            self.watch.round_done(number);
        }
    }

    fn lost_for_long(&self) -> Vec<usize> {
        let now = self.plan.clock.moment();
        let is_long =
            |since: &Option<MonotonicTime>| since.is_some_and(|at| now.since(at) > LOST_FOR);
        self.lost.iter().enumerate().filter(|(_, since)| is_long(since)).map(|(at, _)| at).collect()
    }

    /// A live node whose envelopes cannot be read here counts like one that publishes to another
    /// server. It is a delivery gap with every read, which nothing heals while that node lives.
    fn look_for_unreadable(&mut self) {
        let is_other = |row: &&Heartbeat| row.about.envelopes != self.plan.about.envelopes;
        if let Some(row) = self.watch.rows().find(is_other) {
            let (node, boot, form) = (&row.about.node, row.about.boot, row.about.envelopes);
            if self.unreadable != Some(boot) {
                self.unreadable = Some(boot);
                tracing::warn!(
                    "node {node} publishes envelopes of version {}, and this node reads version {}, or \
                 their keys differ: what it publishes arrives late, read from the store",
                    form.version,
                    self.plan.about.envelopes.version,
                );
            }
            self.plan.watermark_state.open_gap();
        }
    }

    fn read_returned(&mut self, rows: Option<Vec<Heartbeat>>) {
        match rows {
            Some(rows) => {
                self.watch.read_ends(rows, self.plan.clock.moment());
                self.look_for_unreadable();
                let lost = self.lost_for_long();
                let state = self.reads.assess(self.watch.rows(), &lost);
                self.rows.stand(state);
                self.plan.table.replace(self.watch.rows(), self.plan.clock.now());
            }
            None => self.watch.read_fails(),
        }
    }
}
