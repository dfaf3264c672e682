//! Scripted schedules: nothing is slow and nothing goes wrong but what a test says.

use super::client::Device;
use super::event::{At, Dev, Event, Job, Life, Msg};
use super::fault::{Fault as Strike, Kind};
use super::plan::Plan;
use super::queue::{MILLI, SECOND, Time};
use super::store::{NEVER, Replicas, Stored};
use super::thread::Step;
use super::world::World;
use crate::domain::Micros;
use crate::roster::Rules;

/// What is held back, by the node that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Acknowledgements of its rows.
    RowAcks(u8),
    /// Results of its roster reads.
    RosterReads(u8),
    /// Acknowledgements of its messages.
    StoreAcks(u8),
    /// Results of its sessions' reads.
    SessionReads(u8),
    /// Results of its rounds' reads.
    RoundReads(u8),
    /// Messages that are pushed to it, but not canaries.
    Pushes(u8),
    /// Canaries that come back to it.
    Canaries(u8),
    /// Answers to its publishes.
    Answers(u8),
    /// Answers to its subscribes.
    Confirms(u8),
}

impl Hold {
    fn holds(self, at: At, job: Job) -> bool {
        let (node, is_it) = match self {
            Self::RowAcks(node) => (node, matches!(job, Job::RowAck(_))),
            Self::RosterReads(node) => (node, matches!(job, Job::RosterRead(_))),
            Self::StoreAcks(node) => (node, matches!(job, Job::StoreAck(_))),
            Self::SessionReads(node) => (node, matches!(job, Job::Read(..))),
            Self::RoundReads(node) => (node, matches!(job, Job::RoundRead(..))),
            Self::Pushes(node) => (node, is_push(job, true)),
            Self::Canaries(node) => (node, is_push(job, false)),
            Self::Answers(node) => (node, matches!(job, Job::PubReply(..))),
            Self::Confirms(node) => (node, matches!(job, Job::SubReply(_))),
        };
        node == at.life.node && is_it
    }
}

fn is_push(job: Job, of_message: bool) -> bool {
    let Job::Push(_, cargo) = job else { return false };
    matches!(cargo.what, super::event::What::Message(_)) == of_message
}

/// What becomes of a node's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Reads see them, and they are never acknowledged.
    Unheard,
    /// Only reads that touch the first replica see them, and they are never acknowledged.
    Flickers,
    /// They are lost.
    Lost,
    /// They reach the store after so many milliseconds, and are acknowledged then.
    After(Time),
}

impl Fate {
    fn replicas(self, now: Time) -> (Replicas, bool) {
        match self {
            Self::Unheard => (Replicas([now + 1; 3]), false),
            Self::Flickers => (Replicas([now + 1, NEVER, NEVER]), false),
            Self::Lost => (Replicas::NOWHERE, false),
            Self::After(millis) => (Replicas([now + millis * MILLI; 3]), true),
        }
    }
}

/// What a script holds back and decides.
#[derive(Debug, Default)]
pub struct Script {
    holds: Vec<Hold>,
    held: Vec<(Hold, Event)>,
    rows: Vec<(u8, Fate)>,
    messages: Vec<(u8, Fate)>,
}

/// A thread of a node, as scripts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The loop.
    Loop,
    /// A worker.
    Worker(u8),
    /// The owner of a shard's subscriber connection.
    Hearing(u8),
}

impl World {
    /// A deployment of so many nodes of one worker, on one shard, in which nothing happens but what
    /// the script says: everything takes about a millisecond, and all clocks are right. Six users
    /// with a device each, of the same number, are not connected. It has run for 20 s.
    pub fn scripted(nodes: u8, rules: Rules) -> Self {
        Self::scripted_with(Plan::calm(nodes, 1, 1), rules)
    }

    /// The same of a plan.
    pub fn scripted_with(plan: Plan, rules: Rules) -> Self {
        let mut world = Self::new();
        (world.plan, world.rules) = (plan, rules);
        world.script = Some(Script::default());
        world.set_up();
        world.pass(20.0);
        world
    }

    /// Time passes, in seconds.
    pub fn pass(&mut self, seconds: f64) {
        let end = self.now + (seconds * SECOND as f64) as Time;
        self.go_until(end);
    }

    /// Time passes until something is so, or for so many seconds at most: whether it is.
    pub fn pass_until(&mut self, seconds: f64, mut is: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + (seconds * SECOND as f64) as Time;
        while !is(self) && self.now < end && self.objection.is_none() {
            let next = (self.now + MILLI).min(end);
            self.go_until(next);
        }
        is(self)
    }

    /// Time passes up to some second of true time.
    pub fn pass_to(&mut self, second: f64) {
        self.pass(second - self.seconds());
    }

    /// How long the lease of a node's incarnation lasts, in seconds; none is over.
    pub fn lease_left(&self, node: u8) -> f64 {
        let node = &self.nodes[usize::from(node)];
        let until = node.view.lease().map_or(0, |lease| lease.until.0);
        until.saturating_sub(node.clocks.moment(self.now).0) as f64 / SECOND as f64
    }

    /// True time in seconds.
    pub fn seconds(&self) -> f64 {
        self.now as f64 / SECOND as f64
    }

    /// The life that a node is in.
    pub fn life(&self, node: u8) -> Life {
        self.nodes[usize::from(node)].life
    }

    fn part(&self, node: u8, part: Part) -> At {
        let thread = match part {
            Part::Loop => super::node::LOOP,
            Part::Worker(worker) => 1 + worker,
            Part::Hearing(shard) => 1 + self.plan.size.workers + shard,
        };
        At { life: self.life(node), thread }
    }

    /// One more device of a user.
    pub fn add_device(&mut self, user: u8) -> Dev {
        self.devices.push(Device::new(user));
        self.devices.len() as Dev - 1
    }

    /// A device connects to a node with the cursor that it holds, and leaves where it was.
    pub fn connects(&mut self, device: Dev, node: u8) {
        self.leave(device);
        self.connect_to(device, usize::from(node), false);
    }

    /// A device sends something to a user: the message, once it has an id.
    pub fn sends(&mut self, device: Dev, to: u8) -> Option<Msg> {
        let before = self.messages.len();
        self.wish_to(device, to);
        self.pass_until(1.0, |world| world.messages.len() > before).then_some(before as Msg)
    }

    /// Whether a message was answered with `sent`.
    pub fn is_acked(&self, message: Msg) -> bool {
        self.acked & super::store::one(message) != 0
    }

    /// The cursor that a device holds, in seconds of true time.
    pub fn cursor(&self, device: Dev) -> Option<f64> {
        let of = |cursor: Micros| (cursor.0 as f64 - super::clocks::EPOCH as f64) / SECOND as f64;
        self.devices[usize::from(device)].cursor.map(of)
    }

    /// A node's watermark, in seconds of true time.
    pub fn watermark(&self, node: u8) -> f64 {
        let watermark = self.nodes[usize::from(node)].keeping.watch.watermark();
        (watermark.0 as f64 - super::clocks::EPOCH as f64) / SECOND as f64
    }

    /// Whether a node's watermark is frozen.
    pub fn is_frozen(&self, node: u8) -> bool {
        self.nodes[usize::from(node)].view.look().frozen
    }

    /// A thread stands still until it is let go.
    pub fn stops(&mut self, node: u8, part: Part) {
        let at = self.part(node, part);
        self.stop(at, Time::MAX);
    }

    /// All threads of a node do.
    pub fn stops_all(&mut self, node: u8) {
        for thread in 0..self.threads() {
            let at = At { life: self.life(node), thread };
            self.stop(at, Time::MAX);
        }
    }

    /// A thread goes on.
    pub fn goes_on(&mut self, node: u8, part: Part) {
        let at = self.part(node, part);
        self.release(at);
    }

    /// All threads of a node do, the loop last.
    pub fn goes_on_all(&mut self, node: u8) {
        for thread in (0..self.threads()).rev() {
            let at = At { life: self.life(node), thread };
            self.release(at);
        }
    }

    /// A thread will stop before it takes a step, once.
    pub fn stops_before(&mut self, node: u8, part: Part, step: Step) {
        let at = self.part(node, part);
        let node = &mut self.nodes[usize::from(node)];
        node.threads[usize::from(at.thread)].trap = Some(step);
    }

    /// A fault strikes a node, in its part `which` if it has several, for so many seconds.
    pub fn strikes(&mut self, kind: Kind, node: u8, which: u8, seconds: f64) {
        let span = (seconds * SECOND as f64) as Time;
        self.plan.faults.push((self.now, Strike { kind, node, which, span }));
        self.strike(self.plan.faults.len() as u16 - 1);
    }

    /// Holds something back from now on.
    pub fn hold(&mut self, hold: Hold) {
        self.script.get_or_insert_default().holds.push(hold);
    }

    /// Lets everything go that was held back so, now and from now on.
    pub fn let_go_of(&mut self, hold: Hold) {
        let script = self.script.get_or_insert_default();
        script.holds.retain(|other| *other != hold);
        let all = std::mem::take(&mut script.held);
        let (free, rest) = all.into_iter().partition(|(by, _)| *by == hold);
        script.held = rest;
        for (_, event) in free {
            self.happen(event);
        }
    }

    /// How much is held back so.
    pub fn held(&self, hold: Hold) -> usize {
        let script = self.script.as_ref();
        script.map_or(0, |script| script.held.iter().filter(|(by, _)| *by == hold).count())
    }

    /// Decides what becomes of a node's rows from now on; none: they are written.
    pub fn rows_are(&mut self, node: u8, fate: Option<Fate>) {
        let rows = &mut self.script.get_or_insert_default().rows;
        rows.retain(|(other, _)| *other != node);
        rows.extend(fate.map(|fate| (node, fate)));
    }

    /// The same of a node's messages.
    pub fn messages_are(&mut self, node: u8, fate: Option<Fate>) {
        let messages = &mut self.script.get_or_insert_default().messages;
        messages.retain(|(other, _)| *other != node);
        messages.extend(fate.map(|fate| (node, fate)));
    }

    /// Whether an event is held back.
    pub fn holds(&mut self, event: &Event) -> bool {
        let Some(script) = &mut self.script else { return false };
        let Event::Thread(at, job) = *event else { return false };
        let hold = script.holds.iter().find(|hold| hold.holds(at, job));
        let Some(hold) = hold.copied() else { return false };
        script.held.push((hold, *event));
        true
    }

    /// What a script makes of a row.
    pub fn row_fate(&self, life: Life) -> Option<(Replicas, bool)> {
        let (_, fate) = self.script.as_ref()?.rows.iter().find(|(node, _)| *node == life.node)?;
        Some(fate.replicas(self.now))
    }

    /// What a script makes of a message.
    pub fn message_fate(&self, life: Life) -> Option<(Stored, bool)> {
        let script = self.script.as_ref()?;
        let (_, fate) = script.messages.iter().find(|(node, _)| *node == life.node)?;
        let (row, heard) = fate.replicas(self.now);
        Some((Stored { row, activity: [row, row] }, heard))
    }
}
