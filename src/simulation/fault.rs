//! Faults.

use super::agent::Told;
use super::event::{At, Event, Life};
use super::queue::{SECOND, Time};
use super::world::World;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// All threads of a node stop.
    StopNode,
    /// One thread stops.
    StopThread,
    /// A node is killed, and restarts.
    Kill,
    /// It restarts.
    Restart,
    /// One more node.
    Join,
    /// A node is stopped cleanly.
    Leave,
    /// A wall clock steps.
    StepClock,
    /// A node loses its subscriber connection to a shard.
    CutSubscriber,
    /// A node loses its publisher connections to a shard.
    CutPublisher,
    /// A subscriber connection stays open, and no push comes.
    Deafen,
    /// A primary crashes, and restarts empty.
    Crash,
    /// It does so in the middle of a pipeline.
    CrashInPipeline,
    /// A shard's name points to a server again.
    Promote,
    /// A shard gets another primary while the old one lives.
    Failover,
    /// The old one ends.
    Heal,
    /// A server does nothing for a while.
    Stall,
    /// A node's heartbeat writes are lost for a while.
    LoseRows,
    /// They are late for a while, by `which` tenths of a second or a little more.
    DelayRows,
    /// They reach one replica only for a while, and are not acknowledged.
    FlickerRows,
    /// A node cannot connect to Redis for a while, and loses its publishers.
    Unreachable,
    /// A node does not know the time for a while.
    RefuseClock,
    /// It knows the time again.
    KnowClock,
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// The node; taken modulo the number of nodes.
    pub node: u8,
    /// The part of it; likewise.
    pub which: u8,
    /// Its duration.
    pub span: Time,
}

impl World {
    /// Schedules the end of a fault.
    pub fn later(&mut self, after: Time, kind: FaultKind, which: u8) {
        let fault = Fault { kind, node: which, which, span: 0 };
        let at = self.now + after;
        self.plan.faults.push((at, fault));
        self.queue.push(at, Event::Fault(self.plan.faults.len() as u16 - 1));
    }

    fn victim(&self, fault: &Fault) -> Option<Life> {
        let node = usize::from(fault.node) % self.nodes.len();
        self.nodes[node].alive.then_some(self.nodes[node].life)
    }

    /// Carries out a fault.
    pub fn strike(&mut self, index: u16) {
        let (_, fault) = self.plan.faults[usize::from(index)];
        trace!(self, "FAULT {fault:?}");
        let shard = fault.which % self.plan.size.shards;
        match fault.kind {
            FaultKind::Join if self.nodes.len() < 6 => self.join(),
            FaultKind::Restart => self.restart(fault.node),
            FaultKind::Crash => self.restart_shard(shard, fault.span),
            FaultKind::CrashInPipeline => {
                let after = if fault.node < 12 { fault.node % 4 } else { u8::MAX };
                self.redis.primary_mut(shard).crash_after = Some(after);
                self.later(fault.span, FaultKind::Crash, shard);
            }
            FaultKind::Promote => self.promote(fault.which),
            FaultKind::Failover => self.fail_over(shard, fault.span),
            FaultKind::Heal => self.heal(fault.which),
            FaultKind::Stall => self.stall(shard, fault.span.min(20 * SECOND)),
            _ => self.strike_node(&fault, shard),
        }
    }

    fn strike_node(&mut self, fault: &Fault, shard: u8) {
        let Some(life) = self.victim(fault) else { return };
        match fault.kind {
            FaultKind::StopNode => {
                for thread in 0..self.threads() {
                    self.stop(At { life, thread }, fault.span);
                }
            }
            FaultKind::StopThread => {
                self.stop(At { life, thread: fault.which % self.threads() }, fault.span);
            }
            FaultKind::Kill => {
                self.kill(life);
                self.later(fault.span / 4, FaultKind::Restart, life.node);
            }
            FaultKind::Leave => {
                self.drain(life);
                self.later(20 * SECOND + fault.span / 4, FaultKind::Restart, life.node);
            }
            FaultKind::StepClock => {
                let now = self.now;
                self.nodes[usize::from(life.node)].clocks.step(&mut self.rng, now);
            }
            FaultKind::CutSubscriber => self.hurt_links(life, shard, true, false),
            FaultKind::CutPublisher => self.hurt_links(life, shard, false, false),
            FaultKind::Deafen => self.hurt_links(life, shard, fault.which < 12, true),
            FaultKind::LoseRows => {
                self.nodes[usize::from(life.node)].faults.rows_lost = self.now + fault.span;
            }
            FaultKind::DelayRows => {
                let by = Time::from(fault.which) * SECOND / 10;
                self.nodes[usize::from(life.node)].faults.rows_late = (self.now + fault.span, by);
            }
            FaultKind::FlickerRows => {
                self.nodes[usize::from(life.node)].faults.rows_flicker = self.now + fault.span;
            }
            FaultKind::Unreachable => self.cut_off(life, shard, fault),
            FaultKind::RefuseClock => {
                self.tell(life, Told::Clock(false));
                self.later(fault.span / 3, FaultKind::KnowClock, life.node);
            }
            FaultKind::KnowClock => self.tell(life, Told::Clock(true)),
            _ => {}
        }
    }

    fn cut_off(&mut self, life: Life, shard: u8, fault: &Fault) {
        self.nodes[usize::from(life.node)].faults.unreachable = self.now + fault.span;
        self.hurt_links(life, shard, false, false);
        if fault.which >= 8 {
            self.sever_node(life);
        }
    }

    /// Ends all faults.
    pub fn heal_all(&mut self) {
        for (_, fault) in &mut self.plan.faults {
            fault.span = 0;
        }
        self.plan.calm_down();
        for node in 0..self.nodes.len() {
            let it = &mut self.nodes[node];
            (it.faults.rows_lost, it.faults.rows_flicker, it.faults.unreachable) = (0, 0, 0);
            it.faults.rows_late = (0, 0);
            let life = it.life;
            for thread in 0..self.threads() {
                self.release(At { life, thread });
            }
        }
        for shard in 0..self.plan.size.shards {
            self.heal_shard(shard);
        }
    }
}
