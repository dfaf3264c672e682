//! Scripted schedules: delays and faults come from the test alone.

use super::client::SimDevice;
use super::event::{At, Dev, Event, Job, Life, Msg, SimCommand, SimKey};
use super::fault::{Fault as Strike, FaultKind};
use super::mutations::Mutation;
use super::plan::SimOptions;
use super::queue::{MILLI, SECOND, Time};
use super::send::Want;
use super::session::Phase;
use super::store::{NEVER, Replicas, Stored};
use super::thread::ThreadStep;
use super::world::World;
use crate::cluster::Safeguards;
use crate::domain::Micros;
use crate::watermark::SessionPosition;

/// What is held back, by the node that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHold {
    /// Acknowledgements of its heartbeats.
    RowAcks(u8),
    /// Results of its reads of the cluster table.
    RosterReads(u8),
    /// Acknowledgements of its messages.
    StoreAcks(u8),
    /// Results of its sessions' reads.
    SessionReads(u8),
    /// Results of its sessions' reads of memberships.
    Memberships(u8),
    /// Results of its rounds' reads of memberships.
    RoundMemberships(u8),
    /// Results of its reads for rooms that a user joined.
    JoinReads(u8),
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
    /// Its subscribes and unsubscribes, on their way to Redis.
    Subscribes(u8),
    /// The queue of one of its workers.
    Queue(u8, u8),
    /// Entries of its messages, where the loops make them late.
    Entries(u8),
}

impl StoreHold {
    fn holds(self, at: At, event: &Event) -> bool {
        let (node, is_it) = match *event {
            Event::Thread(_, job) => self.holds_job(at, job),
            Event::Server(_, command) => match self {
                Self::Subscribes(node) => (node, !matches!(command, SimCommand::Publish(_))),
                _ => return false,
            },
            _ => return false,
        };
        node == at.life.node && is_it
    }

    fn holds_job(self, at: At, job: Job) -> (u8, bool) {
        match self {
            Self::RowAcks(node) => (node, matches!(job, Job::RowAck(_))),
            Self::RosterReads(node) => (node, matches!(job, Job::RosterRead(_))),
            Self::StoreAcks(node) => (node, matches!(job, Job::StoreAck(_))),
            Self::SessionReads(node) => (node, matches!(job, Job::Read(..))),
            Self::Memberships(node) => (node, matches!(job, Job::Memberships(..))),
            Self::RoundMemberships(node) => (node, matches!(job, Job::RoundMemberships(..))),
            Self::JoinReads(node) => (node, matches!(job, Job::JoinRead(..))),
            Self::RoundReads(node) => (node, matches!(job, Job::RoundRead(..))),
            Self::Pushes(node) => (node, is_push(job, true)),
            Self::Canaries(node) => (node, is_push(job, false)),
            Self::Answers(node) => (node, matches!(job, Job::PubReply(..))),
            Self::Confirms(node) => (node, matches!(job, Job::SubReply(_))),
            Self::Subscribes(node) => (node, false),
            Self::Queue(node, worker) => {
                (node, at.thread == 1 + worker && matches!(job, Job::Drain))
            }
            Self::Entries(node) => (node, matches!(job, Job::Enter(_))),
        }
    }
}

fn is_push(job: Job, of_message: bool) -> bool {
    let Job::Push(_, cargo) = job else { return false };
    matches!(cargo.what, super::event::What::Message(_)) == of_message
}

/// The fate of a node's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Reads see them, and they are never acknowledged.
    Unheard,
    /// Only reads that touch the first replica see them, and they are never acknowledged.
    Flickers,
    /// They are lost.
    Lost,
    /// They reach the store after this many milliseconds, and are acknowledged then.
    After(Time),
    /// Only reads that touch the first replica see them until then.
    Spreads(Time),
}

impl Fate {
    fn replicas(self, now: Time) -> (Replicas, bool) {
        match self {
            Self::Unheard => (Replicas([now + 1; 3]), false),
            Self::Flickers => (Replicas([now + 1, NEVER, NEVER]), false),
            Self::Lost => (Replicas::NOWHERE, false),
            Self::After(millis) => (Replicas([now + millis * MILLI; 3]), true),
            Self::Spreads(millis) => {
                let then = now + millis * MILLI;
                (Replicas([now + 1, then, then]), true)
            }
        }
    }
}

/// What a script holds back and decides.
#[derive(Debug, Default)]
pub struct Script {
    holds: Vec<StoreHold>,
    held: Vec<(StoreHold, Event)>,
    rows: Vec<(u8, Fate)>,
    messages: Vec<(u8, Fate)>,
    /// When each node last wrote a heartbeat.
    wrote: Vec<(u8, Time)>,
    /// A replica that no read of messages touches.
    pub unread: Option<u8>,
}

/// A thread of a node, as scripts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptPart {
    /// The loop.
    Loop,
    /// A worker.
    Worker(u8),
    /// The owner of a shard's subscriber connection.
    Hearing(u8),
}

impl World {
    /// A deployment of `nodes` nodes with one worker each, on one shard, in which only the script
    /// causes events. Everything takes about a millisecond, and all clocks are right. Six users
    /// with a device each, of the same number, are not connected. It has run for 20 s.
    pub fn scripted(nodes: u8, rules: Safeguards) -> Self {
        Self::scripted_with(SimOptions::calm(nodes, 1, 1), rules)
    }

    /// The same for a plan.
    pub fn scripted_with(plan: SimOptions, rules: Safeguards) -> Self {
        let mut world = Self::new();
        (world.plan, world.controls.rules) = (plan, rules);
        world.controls.script = Some(Script::default());
        world.set_up();
        world.pass(20.0);
        world
    }

    /// Lets time pass, in seconds.
    pub fn pass(&mut self, seconds: f64) {
        let end = self.now + (seconds * SECOND as f64) as Time;
        self.go_until(end);
    }

    /// Lets time pass until a condition holds, or for `seconds` at most. Returns whether it holds.
    pub fn pass_until(&mut self, seconds: f64, mut is: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + (seconds * SECOND as f64) as Time;
        while !is(self) && self.now < end && self.report.objection.is_none() {
            let next = (self.now + MILLI).min(end);
            self.go_until(next);
        }
        is(self)
    }

    /// Lets time pass up to some second of true time.
    pub fn pass_to(&mut self, second: f64) {
        self.pass(second - self.seconds());
    }

    /// How long the lease of a node's incarnation still lasts, in seconds; zero if it is over.
    pub fn lease_left(&self, node: u8) -> f64 {
        let node = &self.nodes[usize::from(node)];
        let until = node.view.lease().map_or(0, |lease| lease.until.0);
        until.saturating_sub(node.clocks.moment(self.now).0) as f64 / SECOND as f64
    }

    /// True time in seconds.
    pub fn seconds(&self) -> f64 {
        self.now as f64 / SECOND as f64
    }

    /// When a node last wrote a heartbeat, in seconds of true time; zero means never.
    pub fn last_row(&self, node: u8) -> f64 {
        let mut wrote = self.controls.script.iter().flat_map(|script| &script.wrote);
        let last = wrote.find(|(other, _)| *other == node);
        last.map_or(0, |(_, at)| *at) as f64 / SECOND as f64
    }

    /// The worker of a node that sent its last canaries.
    pub fn canaries_by(&self, node: u8) -> u8 {
        self.nodes[usize::from(node)].agent.canaries_by
    }

    /// The life that a node is in.
    pub fn life(&self, node: u8) -> Life {
        self.nodes[usize::from(node)].life
    }

    fn part(&self, node: u8, part: ScriptPart) -> At {
        let thread = match part {
            ScriptPart::Loop => super::node::LOOP,
            ScriptPart::Worker(worker) => 1 + worker,
            ScriptPart::Hearing(shard) => 1 + self.plan.size.workers + shard,
        };
        At { life: self.life(node), thread }
    }

    /// Adds one more device of a user.
    pub fn add_device(&mut self, user: u8) -> Dev {
        self.clients.devices.push(SimDevice::new(user));
        self.clients.devices.len() as Dev - 1
    }

    /// Starts one more node, and returns its index.
    pub fn joins(&mut self) -> u8 {
        self.join();
        self.nodes.len() as u8 - 1
    }

    /// Stops a node cleanly; it does not restart.
    pub fn leaves(&mut self, node: u8) {
        self.drain(self.life(node));
    }

    /// Kills a node; it does not restart.
    pub fn dies(&mut self, node: u8) {
        self.kill(self.life(node));
    }

    /// Sets a node's wall clock off by `off` seconds from now on.
    pub fn sets_clock(&mut self, node: u8, off: i64) {
        self.nodes[usize::from(node)].clocks.set_off(off * SECOND as i64);
    }

    /// Gives a shard's name to a fresh server while the old one lives on. Connections stay where
    /// they are; these nodes find the old server from now on.
    pub fn fails_over(&mut self, shard: u8, misled: &[u8]) {
        let old = self.redis.begin_incarnation(shard);
        for node in misled {
            self.redis.mislead(self.life(*node), shard, old, Time::MAX);
        }
    }

    /// Makes a node find the primaries from now on.
    pub fn finds_primaries(&mut self, node: u8) {
        self.redis.inform(self.life(node));
    }

    /// Makes a node lose its publisher connections to a shard, and unable to connect to Redis.
    pub fn cannot_publish(&mut self, node: u8, shard: u8) {
        self.nodes[usize::from(node)].faults.unreachable = Time::MAX;
        self.hurt_links(self.life(node), shard, false, false);
    }

    /// Ends that.
    pub fn can_publish(&mut self, node: u8) {
        self.nodes[usize::from(node)].faults.unreachable = 0;
    }

    /// Makes reads of messages avoid this replica from now on; none: they touch random ones.
    pub fn reads_leave_out(&mut self, replica: Option<u8>) {
        self.controls.script.get_or_insert_default().unread = replica;
    }

    /// Moves a device's session to another worker of its node: as a resume from the client's
    /// cursor, or as it is where the loops err so.
    pub fn moves(&mut self, device: Dev, worker: u8) {
        let it = &self.clients.devices[usize::from(device)];
        let (Some(sid), cursor) = (it.session, it.cursor.unwrap_or_default()) else { return };
        let (from, rules) = (self.session(sid).at, self.controls.rules);
        let to = At { thread: 1 + worker, ..from };
        self.forget_session(from, sid);
        let place = self.worker(to).recent.place();
        let session = self.session(sid);
        (session.at, session.place) = (to, place);
        if self.makes(Mutation::MovedUndrained) {
            self.session(sid).phase = Phase::Live;
            return self.join_worker(to, sid);
        }
        let session = self.session(sid);
        (session.phase, session.position) = (Phase::Joining, SessionPosition::new(cursor, rules));
        self.post(to, Job::Hello(sid));
    }

    /// Connects a device to a node with the cursor that it holds; it leaves its session before.
    pub fn connects(&mut self, device: Dev, node: u8) {
        self.leave(device);
        self.connect_to(device, usize::from(node), false);
    }

    /// Sends a message from a device to a user, and returns the message once it has an id.
    pub fn sends(&mut self, device: Dev, to: u8) -> Option<Msg> {
        self.wants(device, Want::Direct(to))
    }

    /// Sends a message from a device to a room.
    pub fn says(&mut self, device: Dev, room: SimKey) -> Option<Msg> {
        self.wants(device, Want::Room(room))
    }

    /// Adds a user to a room over a device, or removes the user.
    pub fn changes(&mut self, device: Dev, user: u8, room: SimKey, inside: bool) -> Option<Msg> {
        self.wants(device, Want::Change { user, room, inside })
    }

    fn wants(&mut self, device: Dev, want: Want) -> Option<Msg> {
        let before = self.history.messages.len();
        self.wish_for(device, want);
        self.pass_until(1.0, |world| world.history.messages.len() > before).then_some(before as Msg)
    }

    /// Whether a message passed the check.
    pub fn has_passed(&self, message: Msg) -> bool {
        self.history.passed & super::store::one(message) != 0
    }

    /// Whether a message was answered with `sent`.
    pub fn is_acked(&self, message: Msg) -> bool {
        self.history.acked & super::store::one(message) != 0
    }

    /// Whether something was acknowledged to a user, and all the user's connected devices have all
    /// of it, and cursors above.
    pub fn has_everything(&self, user: u8) -> bool {
        let owed = self.owed_to(user, self.history.acked);
        let has = |device: &SimDevice| {
            let above = |cursor: Micros| self.above(cursor.0, owed);
            owed & !device.received == 0 && device.cursor.is_some_and(|cursor| above(cursor) == 0)
        };
        let mine = |device: &&SimDevice| device.user == user && device.session.is_some();
        owed != 0 && self.clients.devices.iter().filter(mine).all(has)
    }

    /// The cursor that a device holds, in seconds of true time.
    pub fn cursor(&self, device: Dev) -> Option<f64> {
        let of = |cursor: Micros| (cursor.0 as f64 - super::clocks::EPOCH as f64) / SECOND as f64;
        self.clients.devices[usize::from(device)].cursor.map(of)
    }

    /// A node's watermark, in seconds of true time.
    pub fn watermark(&self, node: u8) -> f64 {
        let watermark = self.nodes[usize::from(node)].agent.watch.watermark();
        (watermark.0 as f64 - super::clocks::EPOCH as f64) / SECOND as f64
    }

    /// Whether a node's watermark is frozen.
    pub fn is_frozen(&self, node: u8) -> bool {
        self.nodes[usize::from(node)].view.look().frozen
    }

    /// Stops a thread until it is let go.
    pub fn stops(&mut self, node: u8, part: ScriptPart) {
        let at = self.part(node, part);
        self.stop(at, Time::MAX);
    }

    /// Stops all threads of a node.
    pub fn stops_all(&mut self, node: u8) {
        for thread in 0..self.threads() {
            let at = At { life: self.life(node), thread };
            self.stop(at, Time::MAX);
        }
    }

    /// Lets a thread go on.
    pub fn goes_on(&mut self, node: u8, part: ScriptPart) {
        let at = self.part(node, part);
        self.release(at);
    }

    /// Lets all threads of a node go on, the loop last.
    pub fn goes_on_all(&mut self, node: u8) {
        for thread in (0..self.threads()).rev() {
            let at = At { life: self.life(node), thread };
            self.release(at);
        }
    }

    /// Stops a thread before it takes a step, once.
    pub fn stops_before(&mut self, node: u8, part: ScriptPart, step: ThreadStep) {
        let at = self.part(node, part);
        let node = &mut self.nodes[usize::from(node)];
        node.threads[usize::from(at.thread)].trap = Some(step);
    }

    /// Strikes a node with a fault, in its part `which` if it has several, for `seconds`.
    pub fn strikes(&mut self, kind: FaultKind, node: u8, which: u8, seconds: f64) {
        let span = (seconds * SECOND as f64) as Time;
        self.plan.faults.push((self.now, Strike { kind, node, which, span }));
        self.strike(self.plan.faults.len() as u16 - 1);
    }

    /// Holds something back from now on.
    pub fn hold(&mut self, hold: StoreHold) {
        self.controls.script.get_or_insert_default().holds.push(hold);
    }

    /// Releases everything that was held back so, now and from now on.
    pub fn let_go_of(&mut self, hold: StoreHold) {
        let script = self.controls.script.get_or_insert_default();
        script.holds.retain(|other| *other != hold);
        let all = std::mem::take(&mut script.held);
        let (free, rest) = all.into_iter().partition(|(by, _)| *by == hold);
        script.held = rest;
        for (_, event) in free {
            self.happen(event);
        }
    }

    /// Releases the first thing that was held back so; what comes from now on is still held back.
    pub fn let_one_go_of(&mut self, hold: StoreHold) {
        let script = self.controls.script.get_or_insert_default();
        let first = script.held.iter().position(|(by, _)| *by == hold);
        if let Some((_, event)) = first.map(|first| script.held.remove(first)) {
            self.happen(event);
        }
    }

    /// How much is held back so.
    pub fn held(&self, hold: StoreHold) -> usize {
        let script = self.controls.script.as_ref();
        script.map_or(0, |script| script.held.iter().filter(|(by, _)| *by == hold).count())
    }

    /// Decides the fate of a node's heartbeats from now on; none: they are written.
    pub fn rows_are(&mut self, node: u8, fate: Option<Fate>) {
        let rows = &mut self.controls.script.get_or_insert_default().rows;
        rows.retain(|(other, _)| *other != node);
        rows.extend(fate.map(|fate| (node, fate)));
    }

    /// The same for a node's messages.
    pub fn messages_are(&mut self, node: u8, fate: Option<Fate>) {
        let messages = &mut self.controls.script.get_or_insert_default().messages;
        messages.retain(|(other, _)| *other != node);
        messages.extend(fate.map(|fate| (node, fate)));
    }

    /// Whether an event is held back.
    pub fn holds(&mut self, event: &Event) -> bool {
        let Some(script) = &mut self.controls.script else { return false };
        let at = match *event {
            Event::Thread(at, _) => at,
            Event::Server(conn, _) => self.redis.conn(conn).owner,
            _ => return false,
        };
        let hold = script.holds.iter().find(|hold| hold.holds(at, event));
        let Some(hold) = hold.copied() else { return false };
        script.held.push((hold, *event));
        true
    }

    /// The script's decision about a heartbeat.
    pub fn row_fate(&mut self, life: Life) -> Option<(Replicas, bool)> {
        let script = self.controls.script.as_mut()?;
        script.wrote.retain(|(node, _)| *node != life.node);
        script.wrote.push((life.node, self.now));
        let (_, fate) = script.rows.iter().find(|(node, _)| *node == life.node)?;
        Some(fate.replicas(self.now))
    }

    /// The script's decision about a message.
    pub fn message_fate(&self, life: Life) -> Option<(Stored, bool)> {
        let script = self.controls.script.as_ref()?;
        let (_, fate) = script.messages.iter().find(|(node, _)| *node == life.node)?;
        let (row, heard) = fate.replicas(self.now);
        Some((Stored { row, activity: [row, row] }, heard))
    }
}
