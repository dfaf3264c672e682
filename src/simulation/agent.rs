//! A node's loop: heartbeats, reads of the cluster table, leases and the orders of the watch.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::event::{At, Event, Job, Life};
use super::mutations::Mutation;
use super::queue::{SECOND, Time};
use super::store::{NEVER, Replicas, Touch, Writing};
use super::thread::ThreadStep;
use super::worker::QueueItem;
use super::world::World;
use crate::cluster::{
    Generations, Heartbeat, Incarnation, LeaseState, LinkSnapshot, Safeguards, ServerRun, ShardTag,
    WorkerProgress,
};
use crate::domain::{Micros, MonotonicTime};
use crate::watermark::{Lease, RecoveryRound, WatermarkAction, WatermarkState, WatermarkTracker};

/// From one heartbeat, or one read of the cluster table, to the next.
const EVERY: Time = 2 * SECOND;

/// How long a worker's snapshot is waited for.
const ASK_WAIT: Time = SECOND;

/// The spread of the delays of late heartbeats.
const LATE_SPREAD: Time = 300_000;

/// The answer of a worker that is asked for its part of a heartbeat.
#[derive(Debug)]
pub struct Answer {
    /// The worker.
    pub worker: u8,
    /// The number of the question.
    pub ask: u16,
    /// The incarnation.
    pub number: u32,
    /// The worker's part of the heartbeat.
    pub snapshot: WorkerProgress,
    /// Whether it issues no more, and all of that incarnation is settled.
    pub settled: bool,
    /// Earlier incarnations, of which all is settled.
    pub retiring: SmallVec<[(u32, WorkerProgress); 1]>,
}

/// Reports to the loop, in order.
#[derive(Debug)]
pub enum Told {
    /// A subscriber connection is up.
    Connected(u8, ServerRun),
    /// All that was needed then is subscribed.
    Resubscribed(u8),
    /// It is gone.
    Lost(u8),
    /// A canary came back.
    Canary(u8, u16),
    /// A worker's part of a heartbeat.
    Answer(Box<Answer>),
    /// A worker has read for a round.
    RoundPart(u8, u64),
    /// A delivery gap was raised.
    Raised,
    /// A send is unsettled for too long.
    Stuck,
    /// Whether the time is known.
    Clock(bool),
}

/// The loop's state.
#[derive(Debug)]
pub struct SimAgent {
    /// The incarnations.
    pub keeper: Generations,
    /// The watermark.
    pub watch: WatermarkTracker,
    told: VecDeque<Told>,
    /// Only the latest chain of writes goes on.
    chain: u16,
    ask: u16,
    asking: bool,
    answered: u8,
    answers: SmallVec<[Answer; 1]>,
    reading: Option<(Time, Touch)>,
    round: Option<RecoveryRound>,
    /// Workers that have not read for the round.
    missing: u8,
    /// The worker that sent the last canaries.
    pub canaries_by: u8,
}

impl SimAgent {
    /// The loop of a boot that begins with this incarnation.
    pub fn new(
        incarnation: Incarnation,
        now: MonotonicTime,
        shards: u8,
        workers: u8,
        view: Arc<WatermarkState>,
        rules: Safeguards,
    ) -> Self {
        let tags = (0..shards).map(|shard| ShardTag(u64::from(shard)));
        Self {
            keeper: Generations::new(incarnation, now, rules),
            watch: WatermarkTracker::new(tags, view, rules),
            told: VecDeque::new(),
            chain: 0,
            ask: 0,
            asking: false,
            answered: 0,
            answers: (0..workers).map(|worker| unanswered(worker, shards)).collect(),
            reading: None,
            round: None,
            missing: 0,
            canaries_by: 0,
        }
    }
}

/// The answer of a worker that never gave one: nothing is settled.
fn unanswered(worker: u8, shards: u8) -> Answer {
    Answer {
        worker,
        ask: 0,
        number: 0,
        snapshot: nothing(shards),
        settled: false,
        retiring: SmallVec::new(),
    }
}

fn nothing(shards: u8) -> WorkerProgress {
    let links = (0..shards).map(|_| LinkSnapshot::default()).collect();
    WorkerProgress { settled: Micros(0), decided: Micros(0), links }
}

impl World {
    pub(super) fn agent(&mut self, life: Life) -> &mut SimAgent {
        &mut self.nodes[usize::from(life.node)].agent
    }

    pub(super) fn moment(&self, life: Life) -> MonotonicTime {
        self.nodes[usize::from(life.node)].clocks.moment(self.now)
    }

    /// Queues a report for a node's loop.
    pub fn tell(&mut self, life: Life, told: Told) {
        if !self.is_alive(life) {
            return;
        }
        let agent = self.agent(life);
        agent.told.push_back(told);
        if agent.told.len() == 1 {
            let looper = self.nodes[usize::from(life.node)].looper();
            self.hand_off(looper, Job::LoopDrain);
        }
    }

    /// Takes the queued reports.
    pub fn hear_told(&mut self, at: At) {
        while let Some(told) = self.agent(at.life).told.pop_front() {
            self.hear_one(at, told);
        }
        self.then(at, ThreadStep::Orders);
    }

    fn hear_one(&mut self, at: At, told: Told) {
        let life = at.life;
        let watch = &mut self.agent(life).watch;
        match told {
            Told::Connected(shard, run) => watch.connected(usize::from(shard), run),
            Told::Resubscribed(shard) => watch.whole(usize::from(shard)),
            Told::Lost(shard) => watch.lost(usize::from(shard)),
            Told::Canary(shard, number) => watch.canary_back(usize::from(shard), number.into()),
            Told::Answer(answer) => self.hear_answer(at, *answer),
            Told::RoundPart(worker, number) => self.hear_round_part(life, worker, number),
            Told::Raised => {}
            Told::Stuck => self.fence(at),
            Told::Clock(known) => self.hear_clock(at, known),
        }
    }

    fn hear_clock(&mut self, at: At, known: bool) {
        if self.makes(Mutation::ClockIgnored) {
            return;
        }
        self.agent(at.life).watch.clock_is_known(known);
        self.nodes[usize::from(at.life.node)].faults.refused = !known;
        if !known {
            self.fence(at);
            self.close_sessions(at.life, SECOND);
        }
    }

    /// Asks every worker for its part of a heartbeat that is due.
    pub fn row_due(&mut self, at: At, chain: u16) {
        let workers = self.plan.size.workers;
        let agent = self.agent(at.life);
        if chain != agent.chain {
            return;
        }
        agent.ask += 1;
        (agent.asking, agent.answered) = (true, 0);
        let ask = agent.ask;
        for worker in 0..workers {
            self.put(at.life, worker, QueueItem::Ask(ask));
        }
        self.queue.push(self.now + ASK_WAIT, Event::Thread(at, Job::AskTimeout(ask)));
    }

    fn hear_answer(&mut self, at: At, answer: Answer) {
        let all = (1 << self.plan.size.workers) - 1;
        let agent = self.agent(at.life);
        let worker = answer.worker;
        if answer.ask == agent.ask {
            agent.answered |= 1 << worker;
        }
        agent.answers[usize::from(worker)] = answer;
        if agent.answered == all {
            self.write_rows(at);
        }
    }

    /// A worker that did not answer is represented by its previous answer.
    pub fn ask_timed_out(&mut self, at: At, ask: u16) {
        if self.agent(at.life).ask == ask {
            self.write_rows(at);
        }
    }

    fn write_rows(&mut self, at: At) {
        let agent = self.agent(at.life);
        if !std::mem::take(&mut agent.asking) {
            return;
        }
        let chain = agent.chain;
        let retiring: SmallVec<[u32; 2]> = agent.keeper.retiring().collect();
        for number in retiring {
            self.write_last_row(at, number);
        }
        self.write_row(at);
        self.queue.push(self.now + EVERY, Event::Thread(at, Job::WriteDue(chain)));
    }

    fn write_last_row(&mut self, at: At, number: u32) {
        let agent = self.agent(at.life);
        let part = |answer: &Answer| {
            let found = answer.retiring.iter().find(|(retiring, _)| *retiring == number);
            found.map(|(_, snapshot)| snapshot.clone())
        };
        let parts: Option<SmallVec<[WorkerProgress; 3]>> = agent.answers.iter().map(part).collect();
        if let Some(parts) = parts {
            self.begin_row(at, number, &parts, true);
        }
    }

    fn write_row(&mut self, at: At) {
        let (shards, moment) = (self.plan.size.shards, self.moment(at.life));
        let node = &mut self.nodes[usize::from(at.life.node)];
        if node.faults.refused {
            return;
        }
        let agent = &mut node.agent;
        if agent.keeper.standing(moment) == LeaseState::Over {
            return self.fence(at);
        }
        let number = agent.keeper.number();
        let is_current = |answer: &&Answer| answer.number == number && answer.ask > 0;
        let part = |answer: &Answer| match Some(answer).filter(is_current) {
            Some(answer) => answer.snapshot.clone(),
            None => nothing(shards),
        };
        let parts: SmallVec<[WorkerProgress; 3]> = agent.answers.iter().map(part).collect();
        let is_settled = |answer: &Answer| answer.settled && answer.number == number;
        let left = agent.answers.iter().all(is_settled);
        self.begin_row(at, number, &parts, left);
    }

    fn begin_row(&mut self, at: At, number: u32, parts: &[WorkerProgress], left: bool) {
        let now = self.nodes[usize::from(at.life.node)].clocks.now(self.now);
        let keeper = &mut self.agent(at.life).keeper;
        let begun = if number == keeper.number() {
            Some(keeper.begin(now.moment))
        } else {
            keeper.begin_last(number, now.moment)
        };
        let Some((incarnation, counter)) = begun else { return };
        let about = Arc::clone(&self.names.about);
        let mut row =
            Heartbeat::gather(incarnation, (counter, now.wall), &self.names.tags, parts, about);
        row.left = left;
        let key = match self.controls.mutation {
            Some(Mutation::RowsByName) => u128::from(at.life.node),
            _ => incarnation.0,
        };
        let stamp = if self.makes(Mutation::RowsByWall) { now.wall.0 } else { counter };
        trace!(self, "{at:?} row {row:?}");
        let write = self.store.prepare(row, number, key, stamp);
        self.then(at, ThreadStep::IssueRow(write));
    }

    /// Issues a heartbeat to the store.
    pub fn issue_row(&mut self, at: At, write: u16) {
        let (mut replicas, mut heard) = self.draw_row(at.life);
        if let Some(fate) = self.row_fate(at.life) {
            (replicas, heard) = fate;
        }
        self.store.issue(write, replicas);
        let quorum = replicas.quorum();
        if quorum < NEVER && heard {
            let answer = 1 + self.rng.below(1000);
            self.queue.push(quorum + answer, Event::Thread(at, Job::RowAck(write)));
        }
    }

    /// Draws which replicas a heartbeat of a node reaches, and whether its acknowledgement arrives.
    fn draw_row(&mut self, life: Life) -> (Replicas, bool) {
        let node = &self.nodes[usize::from(life.node)];
        let ((late_until, late_by), flickers) =
            (node.faults.rows_late, node.faults.rows_flicker > self.now);
        if late_until > self.now {
            let there = self.now + late_by + self.rng.below(LATE_SPREAD);
            return (Replicas([there; 3]), true);
        }
        if flickers {
            return (Replicas([self.now + 1, NEVER, NEVER]), false);
        }
        let mut writing = self.plan.slow.rows;
        if node.faults.rows_lost > self.now {
            writing = Writing { lost_in: 900, ..writing };
        }
        let unheard = self.rng.chance(writing.unheard_in);
        (writing.draw(&mut self.rng, self.now), !unheard)
    }

    /// Handles the acknowledgement of a heartbeat.
    pub fn row_acked(&mut self, at: At, write: u16) {
        let written = self.store.write(write);
        let (number, counter, left) = (written.number, written.row.counter, written.row.left);
        let moment = self.moment(at.life);
        let keeper = &mut self.agent(at.life).keeper;
        keeper.acknowledged(number, counter, moment);
        if number == keeper.number() {
            self.then(at, if left { ThreadStep::Leave } else { ThreadStep::Grant });
        } else if !keeper.retiring().any(|retiring| retiring == number) {
            for worker in 0..self.plan.size.workers {
                self.put(at.life, worker, QueueItem::Forget(number));
            }
        }
    }

    /// Gives the lease to the workers; or, if it is over, begins another incarnation.
    pub fn grant(&mut self, at: At) {
        let moment = self.moment(at.life);
        let node = &mut self.nodes[usize::from(at.life.node)];
        let keeper = &mut node.agent.keeper;
        match keeper.standing(moment) {
            LeaseState::Holds(until) => {
                node.view.grant(Some(Lease { generation: keeper.number(), until }));
            }
            LeaseState::Over if !node.faults.refused => self.fence(at),
            _ => {}
        }
    }

    /// Begins another incarnation.
    pub fn fence(&mut self, at: At) {
        let moment = self.moment(at.life);
        let fresh = self.next_incarnation();
        let node = &mut self.nodes[usize::from(at.life.node)];
        let old = node.agent.keeper.number();
        node.agent.keeper.begin_incarnation(fresh, moment);
        let number = node.agent.keeper.number();
        node.view.grant(None);
        node.agent.chain += 1;
        let chain = node.agent.chain;
        trace!(self, "{at:?} fenced: incarnation {number}");
        if number != old {
            for worker in 0..self.plan.size.workers {
                self.put(at.life, worker, QueueItem::Succeed(number));
            }
        }
        self.post(at, Job::WriteDue(chain));
    }

    /// Handles the passing of a second.
    pub fn tick_loop(&mut self, at: At) {
        self.queue.push(self.now + SECOND, Event::Thread(at, Job::Tick));
        let moment = self.moment(at.life);
        let node = &mut self.nodes[usize::from(at.life.node)];
        if node.agent.keeper.standing(moment) == LeaseState::Over && !node.faults.refused {
            self.fence(at);
        }
        self.then(at, ThreadStep::Orders);
    }

    /// Begins a read of the cluster table, which is due.
    pub fn read_roster(&mut self, at: At) {
        let now = self.nodes[usize::from(at.life.node)].clocks.now(self.now);
        self.agent(at.life).watch.read_begins(now);
        self.then(at, ThreadStep::IssueRoster);
        self.then(at, ThreadStep::Orders);
    }

    /// Issues a read of the cluster table to the store.
    pub fn issue_roster(&mut self, at: At) {
        let end = self.now + 1 + self.plan.slow.roster.draw(&mut self.rng);
        let touch = Touch::draw(&mut self.rng, self.now, end);
        self.agent(at.life).reading = Some((self.now, touch));
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        self.queue.push(end, Event::Thread(at, Job::RosterRead(works)));
    }

    /// Handles the end of a read of the cluster table.
    pub fn roster_read(&mut self, at: At, works: bool) {
        let Some((begun, touch)) = self.agent(at.life).reading.take() else { return };
        let rows = self.store.roster(&touch, self.plan.bounds.row_ttl);
        let moment = self.moment(at.life);
        let watch = &mut self.agent(at.life).watch;
        if works {
            watch.read_ends(rows, moment);
        } else {
            watch.read_fails();
        }
        let gaps = watch.take_gaps();
        if !gaps.is_empty() {
            trace!(self, "{at:?} gaps {gaps:?}");
        }
        let next = (begun + EVERY).max(self.now);
        self.queue.push(next, Event::Thread(at, Job::ReadDue));
        self.then(at, ThreadStep::Orders);
    }

    /// Carries out the next order of the watch.
    pub fn obey(&mut self, at: At) {
        let moment = self.moment(at.life);
        let Some(order) = self.agent(at.life).watch.poll(moment) else { return };
        trace!(self, "{at:?} {order:?}");
        self.carry_out(at.life, order);
        self.then(at, ThreadStep::Orders);
    }

    fn carry_out(&mut self, life: Life, order: WatermarkAction) {
        let workers = self.plan.size.workers;
        match order {
            WatermarkAction::Canaries(number) => {
                let worker = (number % u64::from(workers)) as u8;
                self.agent(life).canaries_by = worker;
                self.put(life, worker, QueueItem::Canary(number as u16));
            }
            WatermarkAction::BreakLinks(shard) => {
                let shard = shard as u8;
                let owner = super::node::owner_of(life, shard, workers);
                self.post(owner, Job::SubCut(shard));
                (0..workers).for_each(|worker| self.put(life, worker, QueueItem::Cut(shard)));
            }
            WatermarkAction::Advance(_) if self.makes(Mutation::SharedWatermark) => {
                for worker in 0..usize::from(workers) {
                    let at = self.nodes[usize::from(life.node)].worker_at(worker);
                    self.post(at, Job::Watermark);
                }
            }
            WatermarkAction::Advance(watermark) => {
                (0..workers)
                    .for_each(|worker| self.put(life, worker, QueueItem::Advance(watermark)));
            }
            WatermarkAction::Read(round) => {
                let number = round.number;
                let agent = self.agent(life);
                (agent.round, agent.missing) = (Some(round), (1 << workers) - 1);
                (0..workers).for_each(|worker| self.put(life, worker, QueueItem::Read(number)));
            }
            WatermarkAction::Done { round, watermark } => {
                let (number, kind, decided) = (round.number, round.kind, round.decided);
                for worker in 0..workers {
                    self.put(life, worker, QueueItem::Done { number, kind, decided, watermark });
                }
            }
        }
    }

    fn hear_round_part(&mut self, life: Life, worker: u8, number: u64) {
        let agent = self.agent(life);
        if agent.round.as_ref().is_some_and(|round| round.number == number) {
            agent.missing &= !(1 << worker);
            if agent.missing == 0 {
                agent.watch.round_done(number);
            }
        }
    }
}
