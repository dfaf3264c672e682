//! A node: its threads, its state, and how it starts and ends.

use std::sync::Arc;

use smallvec::SmallVec;

use super::agent::SimAgent;
use super::clocks::Clocks;
use super::event::{At, Event, Job, KEYS_MAX, Life};
use super::fault::FaultKind;
use super::plan::Trust;
use super::queue::{SECOND, Time};
use super::subscriber::Hearing;
use super::thread::Thread;
use super::worker::SimWorker;
use super::world::World;
use crate::domain::HybridClock;
use crate::watermark::WatermarkState;

/// The thread of a node's loop.
pub const LOOP: u8 = 0;

/// A node in one of its lives.
#[derive(Debug)]
pub struct SimNode {
    /// The life.
    pub life: Life,
    /// When it started.
    pub born: Time,
    /// Whether it lives.
    pub alive: bool,
    /// Whether it is being stopped: it takes no sessions and no sends.
    pub draining: bool,
    /// Its clocks.
    pub clocks: Clocks,
    /// What its ids come from.
    pub ids: HybridClock,
    /// The watermark's state, as all its threads see it.
    pub view: Arc<WatermarkState>,
    /// Its threads: the loop, the workers, the owners of the subscriber connections.
    pub threads: SmallVec<[Thread; 4]>,
    /// The loop's state.
    pub agent: SimAgent,
    /// The workers' states.
    pub workers: SmallVec<[SimWorker; 1]>,
    /// What it subscribes to.
    pub interest: SimInterest,
    /// What is wrong with it.
    pub faults: NodeFaults,
}

/// What a node subscribes to.
#[derive(Debug)]
pub struct SimInterest {
    /// The subscriber connections, one per shard, and the buckets.
    pub hearing: SmallVec<[Hearing; 2]>,
    /// Which workers want a key, one bit each.
    pub wants: [u8; KEYS_MAX],
}

/// What is wrong with a node.
#[derive(Debug, Default)]
pub struct NodeFaults {
    /// Whether it does not know the time.
    pub refused: bool,
    /// Its heartbeat writes are lost until then.
    pub rows_lost: Time,
    /// Its heartbeat writes are late until then, and by how much.
    pub rows_late: (Time, Time),
    /// Its heartbeat writes reach one replica only until then.
    pub rows_flicker: Time,
    /// It cannot connect to Redis until then.
    pub unreachable: Time,
}

impl SimNode {
    /// The loop's thread.
    pub const fn looper(&self) -> At {
        At { life: self.life, thread: LOOP }
    }

    /// A worker's thread.
    pub const fn worker_at(&self, worker: usize) -> At {
        At { life: self.life, thread: 1 + worker as u8 }
    }
}

/// The owner of a shard's subscriber connection, on a node of `workers` workers.
pub const fn owner_of(life: Life, shard: u8, workers: u8) -> At {
    At { life, thread: 1 + workers + shard }
}

impl World {
    /// How many threads a node has.
    pub const fn threads(&self) -> u8 {
        1 + self.plan.size.workers + self.plan.size.shards
    }

    /// Whether a node in this life is alive.
    pub fn is_alive(&self, life: Life) -> bool {
        let node = &self.nodes[usize::from(life.node)];
        node.alive && node.life == life
    }

    /// Whether a node cannot connect to Redis.
    pub fn is_unreachable(&self, life: Life) -> bool {
        self.now < self.nodes[usize::from(life.node)].faults.unreachable
    }

    fn make_node(&mut self, life: Life) -> SimNode {
        let clocks = match self.plan.clocks {
            Trust::Exact => Clocks::exact(),
            Trust::Wrong => Clocks::draw(&mut self.rng, self.now),
            Trust::Extreme => Clocks::extreme(&mut self.rng, self.now),
            Trust::Interval => Clocks::around_the_truth(&mut self.rng, self.now, false),
            Trust::WideInterval => Clocks::around_the_truth(&mut self.rng, self.now, true),
        };
        let view = Arc::new(WatermarkState::default());
        let moment = clocks.moment(self.now);
        let (shards, workers) = (self.plan.size.shards, self.plan.size.workers);
        let bounds = self.plan.bounds;
        let incarnation = self.next_incarnation();
        SimNode {
            life,
            born: self.now,
            alive: true,
            draining: false,
            clocks,
            ids: HybridClock::default(),
            threads: (0..self.threads()).map(|_| Thread::default()).collect(),
            agent: SimAgent::new(
                incarnation,
                moment,
                shards,
                workers,
                Arc::clone(&view),
                self.controls.rules,
            ),
            workers: (0..workers)
                .map(|_| SimWorker::new(shards, &bounds, moment, self.controls.rules))
                .collect(),
            interest: SimInterest {
                hearing: (0..shards)
                    .map(|_| Hearing::new(bounds.linger, self.controls.rules))
                    .collect(),
                wants: [0; KEYS_MAX],
            },
            view,
            faults: NodeFaults::default(),
        }
    }

    /// Starts one more node.
    pub fn join(&mut self) {
        let life = Life { node: self.nodes.len() as u8, boot: 0 };
        let node = self.make_node(life);
        self.nodes.push(node);
        self.start(life);
    }

    /// Starts a node that is gone again, with nothing.
    pub fn restart(&mut self, node: u8) {
        let old = &self.nodes[usize::from(node)];
        let life = Life { node, boot: old.life.boot + 1 };
        if !old.alive {
            let fresh = self.make_node(life);
            self.nodes[usize::from(node)] = fresh;
            self.start(life);
        }
    }

    fn start(&mut self, life: Life) {
        trace!(self, "{life:?} starts");
        let node = usize::from(life.node);
        let looper = self.nodes[node].looper();
        let spread = self.rng.below(SECOND);
        self.queue.push(self.now + spread, Event::Thread(looper, Job::WriteDue(0)));
        let spread = self.rng.below(2 * SECOND);
        self.queue.push(self.now + spread, Event::Thread(looper, Job::ReadDue));
        for thread in 0..=self.plan.size.workers {
            let tick = Event::Thread(At { life, thread }, Job::Tick);
            let spread = self.rng.below(SECOND);
            self.queue.push(self.now + spread, tick);
        }
        for shard in 0..self.plan.size.shards {
            self.post(owner_of(life, shard, self.plan.size.workers), Job::SubConnect(shard, 0));
            for worker in 0..self.plan.size.workers {
                let at = self.nodes[node].worker_at(usize::from(worker));
                self.post(at, Job::PubConnect(shard, 0));
            }
        }
    }

    /// Ends a node at once.
    pub fn kill(&mut self, life: Life) {
        if !self.is_alive(life) {
            return;
        }
        trace!(self, "{life:?} is gone");
        self.sever_node(life);
        self.nodes[usize::from(life.node)].alive = false;
        self.lose_sessions(life);
    }

    /// Stops a node cleanly.
    pub fn drain(&mut self, life: Life) {
        self.nodes[usize::from(life.node)].draining = true;
        self.close_sessions(life, 3 * SECOND);
        self.later(16 * SECOND, FaultKind::Kill, life.node);
    }
}
