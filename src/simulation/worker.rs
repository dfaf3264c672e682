//! A worker: its queue, and the handling of each item in it.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::agent::{Answer, Told};
use super::event::{
    At, Event, Job, KEYS_MAX, Life, Msg, OWN, ROOMS_MAX, Sid, SimCargo, SimKeys, USERS_MAX, What,
};
use super::heads::Heads;
use super::members::Stamps;
use super::plan::SimBounds;
use super::publisher::Publishing;
use super::queue::SECOND;
use super::round::Rounding;
use super::thread::ThreadStep;
use super::user_rooms::SimUserRooms;
use super::world::World;
use crate::cluster::Safeguards;
use crate::domain::{Micros, MonotonicTime, NEVER};
use crate::watermark::{PublishBounds, PublishTracker, RecentDeliveries, RoundKind};

/// An item in a worker's queue.
#[derive(Debug, Clone, Copy)]
pub enum QueueItem {
    /// A message, for these keys.
    Deliver(Msg, SimKeys),
    /// The loop asks for its part of a heartbeat.
    Ask(u16),
    /// Another incarnation begins.
    Succeed(u32),
    /// An earlier one is over.
    Forget(u32),
    /// The watermark moves.
    Advance(Micros),
    /// A round begins.
    Read(u64),
    /// It is done.
    Done {
        /// The round.
        number: u64,
        /// Its kind.
        kind: RoundKind,
        /// Up to which id everything was in the store.
        decided: Option<Micros>,
        /// The watermark since.
        watermark: Micros,
    },
    /// Close the connection to a shard.
    Cut(u8),
    /// Send canaries.
    Canary(u16),
}

/// A worker's state.
#[derive(Debug)]
pub struct SimWorker {
    /// What it issued and publishes.
    pub tracker: PublishTracker<SimCargo>,
    /// What it delivered.
    pub recent: RecentDeliveries,
    /// The watermark that its sessions have.
    pub watermark: Micros,
    /// Its sessions.
    pub sessions: Vec<Sid>,
    /// Its publisher connections, one per shard.
    pub publishing: SmallVec<[Publishing; 2]>,
    /// How many of its sessions, or of its users, hold interest in a key.
    pub holds: [u8; KEYS_MAX],
    /// The rooms of its users.
    pub belongings: Vec<SimUserRooms>,
    /// The round under way.
    pub rounding: Rounding,
    /// The heads of rooms that it knows.
    pub heads: Heads,
    /// Which leaves it learned of, for the oracle.
    pub left: Stamps,
    queue: VecDeque<QueueItem>,
    deliveries: usize,
}

impl SimWorker {
    /// Makes a worker without sessions.
    pub fn new(shards: u8, bounds: &SimBounds, now: MonotonicTime, rules: Safeguards) -> Self {
        let tracker = PublishBounds { pending: bounds.pending, queue_max: bounds.queue_max };
        Self {
            tracker: PublishTracker::new(usize::from(shards), tracker, now, rules),
            recent: RecentDeliveries::new(bounds.recent, rules),
            watermark: Micros::default(),
            sessions: Vec::new(),
            publishing: (0..shards).map(|_| Publishing::default()).collect(),
            holds: [0; KEYS_MAX],
            belongings: Vec::new(),
            rounding: Rounding::default(),
            heads: Heads::default(),
            left: [[NEVER; ROOMS_MAX as usize]; USERS_MAX as usize],
            queue: VecDeque::new(),
            deliveries: 0,
        }
    }
}

impl World {
    pub(super) fn worker(&mut self, at: At) -> &mut SimWorker {
        &mut self.nodes[usize::from(at.life.node)].workers[usize::from(at.thread - 1)]
    }

    /// Gives a thread a job, perhaps a little later.
    pub fn hand_off(&mut self, at: At, job: Job) {
        match self.plan.slow.handoff.draw(&mut self.rng) {
            0 if self.holds(&Event::Thread(at, job)) => {}
            0 => self.post(at, job),
            delay => self.queue.push(self.now + delay, Event::Thread(at, job)),
        }
    }

    /// Puts an item into a worker's queue. A delivery that finds it full is a delivery gap.
    pub fn put(&mut self, life: Life, worker: u8, item: QueueItem) {
        let max = self.plan.bounds.inbox;
        let node = &mut self.nodes[usize::from(life.node)];
        if !node.alive || node.life != life {
            return;
        }
        let at = node.worker_at(usize::from(worker));
        let it = &mut node.workers[usize::from(worker)];
        if matches!(item, QueueItem::Deliver(..)) {
            if it.deliveries >= max {
                node.view.open_gap();
                trace!(self, "{at:?} overflows: {item:?}");
                return self.tell(life, Told::Raised);
            }
            it.deliveries += 1;
        }
        it.queue.push_back(item);
        if it.queue.len() == 1 {
            self.hand_off(at, Job::Drain);
        }
    }

    /// Takes the next item of a worker's queue.
    pub fn next_item(&mut self, at: At) {
        let it = self.worker(at);
        let Some(item) = it.queue.pop_front() else { return };
        if !it.queue.is_empty() {
            self.then(at, ThreadStep::Next);
        }
        match item {
            QueueItem::Deliver(message, keys) => {
                self.worker(at).deliveries -= 1;
                self.deliver(at, message, keys);
            }
            QueueItem::Ask(ask) => self.answer(at, ask),
            QueueItem::Succeed(number) => self.worker(at).tracker.begin_incarnation(number),
            QueueItem::Forget(number) => self.worker(at).tracker.forget(number),
            QueueItem::Advance(watermark) => self.advance(at, watermark),
            QueueItem::Read(number) => self.begin_round(at, number),
            QueueItem::Done { number, kind, decided, watermark } => {
                self.end_round(at, number, (kind, decided), watermark);
            }
            QueueItem::Cut(shard) => self.cut_publisher(at, shard),
            QueueItem::Canary(number) => self.send_canaries(at, number),
        }
    }

    fn answer(&mut self, at: At, ask: u16) {
        let node = &mut self.nodes[usize::from(at.life.node)];
        let reading = if node.faults.refused {
            Micros::default()
        } else {
            node.ids.issue(node.clocks.wall(self.now))
        };
        let tracker = &mut node.workers[usize::from(at.thread - 1)].tracker;
        let mut retiring = SmallVec::new();
        for old in node.agent.keeper.retiring() {
            if tracker.generation() != old && tracker.is_settled(old) {
                retiring.push((old, tracker.snapshot(old, reading)));
            }
        }
        let number = tracker.generation();
        let answer = Answer {
            worker: at.thread - 1,
            ask,
            number,
            snapshot: tracker.snapshot(number, reading),
            // Only from when it issues no more: an earlier answer does not mean that it is done.
            settled: node.draining && tracker.is_settled(number),
            retiring,
        };
        self.tell(at.life, Told::Answer(Box::new(answer)));
    }

    /// Advances the watermark of a worker ahead of its queue, which must never happen.
    pub fn advance_at_once(&mut self, at: At) {
        let watermark = self.agent(at.life).watch.watermark();
        self.advance(at, watermark);
    }

    fn advance(&mut self, at: At, watermark: Micros) {
        let it = self.worker(at);
        it.watermark = it.watermark.max(watermark);
        let watermark = it.watermark;
        it.recent.prune(watermark);
        self.each_session(at, |world, sid| {
            let session = world.session(sid);
            if session.may_be_told()
                && let Some(cursor) = session.position.cursor(watermark)
            {
                world.send_cursor(sid, cursor);
            }
        });
    }

    /// Runs `act` for every session of a worker.
    pub fn each_session(&mut self, at: At, mut act: impl FnMut(&mut Self, Sid)) {
        let mut index = 0;
        while let Some(sid) = self.worker(at).sessions.get(index).copied() {
            act(self, sid);
            // It may be gone by now.
            index += usize::from(self.worker(at).sessions.get(index) == Some(&sid));
        }
    }

    fn send_canaries(&mut self, at: At, number: u16) {
        let moment = self.moment(at.life);
        for shard in 0..usize::from(self.plan.size.shards) {
            let channel = OWN + at.life.node;
            let canary = SimCargo { what: What::Canary(number), channel, from: at.life, keys: 0 };
            self.worker(at).tracker.publish(shard, canary, None, moment);
        }
        self.then(at, ThreadStep::Flush);
    }

    /// Handles the passing of a second.
    pub fn tick_worker(&mut self, at: At) {
        self.queue.push(self.now + SECOND, Event::Thread(at, Job::Tick));
        let moment = self.moment(at.life);
        self.tick_publishers(at, moment);
        let tracker = &mut self.worker(at).tracker;
        tracker.tick(moment);
        if tracker.is_stuck(moment) {
            self.tell(at.life, Told::Stuck);
        }
        self.each_session(at, Self::tick_session);
        self.tick_belongings(at);
        if at.thread == 1 {
            for shard in 0..self.plan.size.shards {
                let owner = super::node::owner_of(at.life, shard, self.plan.size.workers);
                self.post(owner, Job::Command(shard));
            }
        }
        self.then(at, ThreadStep::Flush);
    }
}
