//! The node's own heartbeats: written every 2 s, whether or not earlier ones are answered.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::NodeAgentOptions;
use crate::cluster::{
    Generations, Heartbeat, Incarnation, LEASE, LeaseState, NodeInfo, NodeReport, NodeState,
    Safeguards, ShardTag, WorkerProgress,
};
use crate::delivery::{Report, WorkerCommand};
use crate::domain::MonotonicTime;
use crate::watermark::Lease;

/// How long the workers may take to report on their sends. A worker that misses this deadline is
/// represented by its previous report.
const REPORTS: Duration = Duration::from_secs(1);

/// How often the last heartbeat is tried while it cannot be written yet.
const LAST_TRY: Duration = Duration::from_millis(50);

/// A write's answer: the number of the incarnation, the counter of the heartbeat, and whether it
/// was acknowledged.
type Answer = (u32, u64, bool);

/// A gathering of the workers' reports for a heartbeat.
#[derive(Debug)]
struct Gathering {
    since: MonotonicTime,
    missing: u64,
}

/// The node's own heartbeats.
#[derive(Debug)]
pub(super) struct HeartbeatWriter {
    plan: Arc<NodeAgentOptions>,
    tags: Vec<ShardTag>,
    keeper: Generations,
    about: Arc<NodeInfo>,
    gathering: Option<Gathering>,
    /// Workers whose report is due, one bit each: they are not asked again.
    asked: u64,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    /// The last report of each worker, per incarnation.
    last: AHashMap<(u32, u32), (WorkerProgress, bool)>,
    writes: JoinSet<Answer>,
    stuck: bool,
}

impl HeartbeatWriter {
    pub(super) fn new(plan: Arc<NodeAgentOptions>) -> Self {
        let keeper =
            Generations::new(Incarnation::random(), plan.clock.moment(), Safeguards::default());
        let about = Arc::new(NodeInfo {
            node: plan.about.node.clone(),
            boot: plan.about.boot.0,
            started: plan.about.started,
            address: plan.about.address.clone(),
            state: NodeState::Starting,
            publish: plan.about.publish.clone(),
            subscribe: plan.about.subscribe.clone(),
            tap: false,
            copies: false,
            envelopes: plan.about.envelopes,
            report: NodeReport::default(),
        });
        Self {
            tags: plan.about.shards.iter().map(|name| ShardTag::of(name)).collect(),
            keeper,
            about,
            gathering: None,
            asked: 0,
            reports: mpsc::channel(plan.worker_queues.count()),
            last: AHashMap::new(),
            writes: JoinSet::new(),
            stuck: false,
            plan,
        }
    }

    /// Sets the state for the next heartbeat.
    pub(super) fn stand(&mut self, state: NodeState) {
        let drains = self.about.state == NodeState::Draining;
        let state = if drains { NodeState::Draining } else { state };
        let (tap, copies) = (self.plan.feed.is_tap(), self.plan.feed.copies());
        let said = (self.about.state, self.about.tap, self.about.copies);
        if said != (state, tap, copies) {
            self.about = Arc::new(NodeInfo { state, tap, copies, ..NodeInfo::clone(&self.about) });
            self.keeper.hurry(self.plan.clock.moment());
        }
    }

    /// Records that the node is being stopped.
    pub(super) fn drain(&mut self) {
        self.stand(NodeState::Draining);
    }

    /// Records that the heartbeat's flags of wide patterns changed.
    pub(super) fn feed_changed(&mut self) {
        self.stand(self.about.state);
    }

    /// Waits until a worker reports or a write is answered.
    pub(super) async fn progress(&mut self) {
        tokio::select! {
            Some(report) = self.reports.1.recv() => self.take_report(report),
            Some(answer) = self.writes.join_next(), if !self.writes.is_empty() => {
                if let Ok(answer) = answer {
                    self.answered(answer);
                }
            }
        }
    }

    fn take_report(&mut self, report: Report) {
        let bit = 1 << report.worker;
        self.asked &= !bit;
        let current = self.keeper.number();
        let knows = report.incarnations.iter().any(|(number, ..)| *number == current);
        // A report on an earlier incarnation counts once its worker knows the successor: until then
        // it may issue more in the earlier one.
        if knows {
            self.stuck |= report.stuck;
            for (number, snapshot, settled) in report.incarnations {
                self.last.insert((number, report.worker), (snapshot, settled));
            }
        }
        if let Some(gathering) = &mut self.gathering {
            gathering.missing &= !bit;
        }
    }

    fn answered(&mut self, (number, counter, acknowledged): Answer) {
        // Read once the acknowledgement is there, and before it is applied.
        let now = self.plan.clock.moment();
        if !acknowledged {
            self.plan.metrics.agent.heartbeats_failed.inc();
            return;
        }
        if self.keeper.acknowledged(number, counter, now) {
            self.forget(number);
        } else if number == self.keeper.number() {
            self.grant(now);
        }
    }

    /// Forgets an incarnation that is over.
    fn forget(&mut self, number: u32) {
        self.last.retain(|(of, _), _| *of != number);
        self.plan.worker_queues.tell_all(&WorkerCommand::DropGeneration(number));
    }

    fn grant(&mut self, now: MonotonicTime) {
        let lease = match self.keeper.standing(now) {
            LeaseState::Holds(until) => Some(Lease { generation: self.keeper.number(), until }),
            LeaseState::Unborn | LeaseState::Over => None,
        };
        self.plan.watermark_state.grant(lease);
    }

    /// Does what is due: fences, asks, writes.
    pub(super) fn turn(&mut self) {
        let now = self.plan.clock.moment();
        if self.keeper.standing(now) == LeaseState::Over || self.stuck {
            self.fence(now, "the lease ran out");
        }
        if self.gathering.is_none() && now >= self.keeper.due() {
            self.ask(now);
        }
        let is_over = |gathering: &mut Gathering| {
            gathering.missing == 0 || now.since(gathering.since) >= REPORTS
        };
        if self.gathering.take_if(is_over).is_some() {
            self.write_due();
        }
    }

    /// Ends the current incarnation, since the time is not known. It states that it left once all
    /// is settled. Its successor writes no heartbeat, so it has no lease, until the time is known
    /// again.
    pub(super) fn suspend(&mut self) {
        self.fence(self.plan.clock.moment(), "the time is not known");
    }

    /// Resumes, since the time is known again.
    pub(super) fn resume(&mut self) {
        self.keeper.hurry(self.plan.clock.moment());
    }

    /// Fences the current incarnation: what it acknowledges from here on is not published.
    fn fence(&mut self, now: MonotonicTime, why: &str) {
        self.stuck = false;
        self.plan.watermark_state.grant(None);
        let given_up = self.keeper.begin_incarnation(Incarnation::random(), now);
        let number = self.keeper.number();
        self.plan.metrics.agent.fences.inc();
        tracing::warn!(number, "{why}: a new incarnation of this node begins");
        self.last.clear();
        self.gathering = None;
        self.plan.worker_queues.tell_all(&WorkerCommand::StartGeneration(number));
        given_up.into_iter().for_each(|number| self.forget(number));
    }

    fn ask(&mut self, now: MonotonicTime) {
        let all = self.plan.worker_queues.all();
        for worker in
            (0..self.plan.worker_queues.count() as u32).filter(|bit| self.asked & 1 << bit == 0)
        {
            self.plan
                .worker_queues
                .of(worker)
                .command(WorkerCommand::Report(self.reports.0.clone()));
        }
        self.asked = all;
        self.gathering = Some(Gathering { since: now, missing: all });
    }

    fn write_due(&mut self) {
        if self.plan.clock.is_known() {
            self.write_current(false);
        }
        let is_settled = |number: &u32| self.is_settled(*number);
        let settled: Vec<u32> = self.keeper.retiring().filter(is_settled).collect();
        for number in settled {
            self.write_last(number);
        }
    }

    /// Returns the last reports of every worker on an incarnation; `None` if one of them has not
    /// reported.
    fn snapshots_of(&self, number: u32) -> Option<Vec<&(WorkerProgress, bool)>> {
        (0..self.plan.worker_queues.count() as u32)
            .map(|worker| self.last.get(&(number, worker)))
            .collect()
    }

    fn is_settled(&self, number: u32) -> bool {
        self.snapshots_of(number)
            .is_some_and(|snapshots| snapshots.iter().all(|(_, settled)| *settled))
    }

    fn snapshots(&self, number: u32) -> Option<Vec<WorkerProgress>> {
        let snapshots = self.snapshots_of(number)?;
        Some(snapshots.iter().map(|(snapshot, _)| snapshot.clone()).collect())
    }

    /// Writes a heartbeat of the current incarnation from the workers' last reports, and returns
    /// its counter. The lease is counted from just before.
    fn write_current(&mut self, left: bool) -> Option<u64> {
        let number = self.keeper.number();
        let snapshots = self.snapshots(number)?;
        let (incarnation, counter) = self.keeper.begin(self.plan.clock.moment());
        let row = self.row(incarnation, counter, &snapshots);
        self.write(number, Heartbeat { left, ..row });
        Some(counter)
    }

    /// Writes the last heartbeat of an earlier incarnation.
    fn write_last(&mut self, number: u32) -> Option<()> {
        let snapshots = self.snapshots(number)?;
        let (incarnation, counter) = self.keeper.begin_last(number, self.plan.clock.moment())?;
        let row = self.row(incarnation, counter, &snapshots);
        self.write(number, Heartbeat { left: true, ..row });
        Some(())
    }

    fn row(
        &mut self,
        incarnation: Incarnation,
        counter: u64,
        snapshots: &[WorkerProgress],
    ) -> Heartbeat {
        let written = self.plan.clock.now();
        let report = self.plan.table.report();
        if self.about.report != report {
            self.about = Arc::new(NodeInfo { report, ..NodeInfo::clone(&self.about) });
        }
        let about = Arc::clone(&self.about);
        // Read after the snapshots: they cover no id that was given up on and is missing here.
        let unknown = self.plan.watermark_state.unknown_here();
        let row = Heartbeat::gather(incarnation, (counter, written), &self.tags, snapshots, about);
        Heartbeat { unknown, ..row }
    }

    fn write(&mut self, number: u32, row: Heartbeat) {
        let counter = row.counter;
        let write = self.plan.store.write_heartbeat(row);
        self.plan.metrics.agent.heartbeats_written.inc();
        self.writes.spawn(async move {
            let answer = tokio::time::timeout(LEASE, write).await;
            (number, counter, matches!(answer, Ok(Ok(()))))
        });
    }

    /// Writes `left` once everything is settled. Without a lease nothing more is published, so the
    /// workers' reports from here on are final.
    pub(super) async fn leave(&mut self) {
        self.plan.watermark_state.grant(None);
        self.await_reports().await;
        if !self.plan.clock.is_known() {
            // No other node knows the incarnation.
            return;
        }
        let number = self.keeper.number();
        loop {
            self.last.clear();
            self.ask(self.plan.clock.moment());
            self.await_reports().await;
            if self.is_settled(number) {
                break;
            }
            tokio::time::sleep(LAST_TRY).await;
        }
        let Some(last) = self.write_current(true) else { return };
        while let Some(answer) = self.writes.join_next().await {
            if matches!(answer, Ok((of, counter, true)) if (of, counter) == (number, last)) {
                return;
            }
        }
    }

    /// Waits until every worker that was asked has answered.
    async fn await_reports(&mut self) {
        while self.asked != 0
            && let Some(report) = self.reports.1.recv().await
        {
            self.take_report(report);
        }
    }
}
