//! A whole deployment in virtual time, on one thread.

use std::sync::Arc;

use smallvec::SmallVec;

use super::change::{Rewrite, Touches};
use super::client::SimDevice;
use super::event::{Act, At, Dev, Event, Job, KEYS_MAX, Msg, ROOMS, ROOMS_MAX, SimKey, USERS_MAX};
use super::members::Members;
use super::mutations::Mutation;
use super::node::SimNode;
use super::oracle::Objection;
use super::plan::SimOptions;
use super::profile::Profile;
use super::queue::{Queue, SECOND, Time};
use super::redis::Redis;
use super::rng::Rng;
use super::script::Script;
use super::send::{Wish, WriteKnown};
use super::session::SimSession;
use super::store::{Messages, SimStore};
use super::thread::ThreadStep;
use crate::cluster::{
    EnvelopeForm, Incarnation, NodeInfo, NodeReport, NodeState, Safeguards, ShardTag,
};
use crate::domain::{RoomId, UserId};
use crate::layout::{BucketCount, BucketCounts, Layout};

/// How long it may take until cursors cover the last sends.
const TAIL: Time = 25 * SECOND;

/// How old a node is when its lag is measured: its first watermarks wait for the deaths of nodes
/// that are gone.
const START: Time = 20 * SECOND;

/// A deployment.
#[derive(Debug)]
pub struct World {
    /// True time.
    pub now: Time,
    /// The events to come.
    pub queue: Queue,
    /// The source of chance.
    pub rng: Rng,
    /// The plan of this schedule.
    pub plan: SimOptions,
    /// What this schedule is run for.
    pub controls: Controls,
    /// The store.
    pub store: SimStore,
    /// Redis.
    pub redis: Redis,
    /// The nodes.
    pub nodes: Vec<SimNode>,
    /// The clients.
    pub clients: Clients,
    /// What happened to messages and memberships.
    pub history: SimHistory,
    /// What is reported of the schedule.
    pub report: SimReport,
    /// Names in the product's types.
    pub names: Names,
}

/// What a schedule is run for. It outlives the schedule.
#[derive(Debug, Default)]
pub struct Controls {
    /// Which rules hold.
    pub rules: Safeguards,
    /// The mistake that the loops make.
    pub mutation: Option<Mutation>,
    /// What a script holds back.
    pub script: Option<Script>,
}

/// The clients, and what they asked for.
#[derive(Debug, Default)]
pub struct Clients {
    /// Their devices.
    pub devices: Vec<SimDevice>,
    /// All sessions there ever were.
    pub sessions: Vec<SimSession>,
    /// What they wanted to send.
    pub wishes: Vec<Wish>,
    /// Writes of memberships beside those of changes.
    pub rewrites: Vec<Rewrite>,
    /// Reads of the rows of adds.
    pub reads_back: Vec<(Msg, Touches)>,
}

/// What happened to messages and memberships, as the oracle knows it.
#[derive(Debug, Default)]
pub struct SimHistory {
    /// All messages that got an id.
    pub messages: Vec<WriteKnown>,
    /// Each key's messages: the direct ones of a user, those of a room.
    pub key_messages: [Messages; KEYS_MAX],
    /// The members of rooms.
    pub members: Members,
    /// The messages that passed the check.
    pub passed: Messages,
    /// The messages that were answered with `sent`.
    pub acked: Messages,
}

/// What is reported of a schedule.
#[derive(Debug, Default)]
pub struct SimReport {
    /// What the oracle objects to.
    pub objection: Option<Objection>,
    /// How far the watermarks are behind, for each second, if that is measured.
    pub lags: Option<Vec<u64>>,
    /// Whether events are recorded.
    pub tracing: bool,
    /// The recorded events.
    pub trace: Vec<String>,
}

/// Names in the product's types.
#[derive(Debug)]
pub struct Names {
    /// The rooms' ids.
    pub rooms: Vec<RoomId>,
    /// The one user id that stands for every user.
    pub anybody: UserId,
    /// The shards in the form of heartbeats.
    pub tags: SmallVec<[ShardTag; 4]>,
    /// The part of heartbeats beside the watermark's numbers.
    pub about: Arc<NodeInfo>,
    incarnations: u128,
}

impl Names {
    fn new() -> Self {
        let layout =
            Layout::new(BucketCounts::all(BucketCount::new(1).expect("a count")), vec!["r".into()]);
        let about = NodeInfo {
            node: String::new(),
            boot: [0; 16],
            started: crate::domain::Micros(0),
            address: String::new(),
            state: NodeState::Serving,
            publish: layout,
            subscribe: Vec::new(),
            tap: false,
            copies: false,
            envelopes: EnvelopeForm::default(),
            report: NodeReport::default(),
        };
        let room = |room| RoomId::parse(&format!("r{room}")).expect("a name");
        Self {
            rooms: (0..ROOMS_MAX).map(room).collect(),
            anybody: UserId::parse("u").expect("a name"),
            tags: SmallVec::new(),
            about: Arc::new(about),
            incarnations: 0,
        }
    }
}

impl World {
    /// A world whose memory is used for one schedule after the other.
    pub fn new() -> Self {
        Self {
            now: 0,
            queue: Queue::default(),
            rng: Rng::new(0),
            plan: SimOptions::calm(1, 1, 1),
            controls: Controls::default(),
            store: SimStore::default(),
            redis: Redis::default(),
            nodes: Vec::new(),
            clients: Clients::default(),
            history: SimHistory::default(),
            report: SimReport::default(),
            names: Names::new(),
        }
    }

    /// Runs the schedule of a seed, and returns what the oracle objects to.
    pub fn run(&mut self, profile: Profile, seed: u64) -> Option<Objection> {
        self.rng = Rng::new(seed ^ (profile as u64) << 56);
        self.plan = SimOptions::draw(profile, &mut self.rng);
        self.set_up();
        self.schedule_clients();
        for fault in 0..self.plan.faults.len() {
            self.queue.push(self.plan.faults[fault].0, Event::Fault(fault as u16));
        }
        let active = self.plan.size.active;
        if self.report.lags.is_some() {
            self.queue.push(START, Event::Sample);
        }
        self.go_until(active);
        if self.plan.size.quiet > 0 && self.report.objection.is_none() {
            self.heal_all();
            self.gather_clients();
            self.go_until(active + self.plan.size.quiet);
            if self.report.objection.is_none() {
                self.judge_end();
            }
        }
        self.report.objection
    }

    /// Empties the world and starts the plan's nodes.
    pub fn set_up(&mut self) {
        self.now = 0;
        self.queue.clear();
        self.store.clear();
        self.redis.reset(self.plan.size.shards);
        self.nodes.clear();
        self.clients.sessions.clear();
        self.clients.wishes.clear();
        self.clients.rewrites.clear();
        self.clients.reads_back.clear();
        self.history.messages.clear();
        (self.history.key_messages, self.report.objection) = ([0; KEYS_MAX], None);
        (self.history.passed, self.history.acked) = (0, 0);
        self.history.members = Members::default();
        self.report.trace.clear();
        self.names.incarnations = 0;
        self.names.tags.clear();
        self.names.tags.extend((0..self.plan.size.shards).map(|shard| ShardTag(u64::from(shard))));
        self.clients.devices.clear();
        let users = self.plan.size.users;
        self.clients
            .devices
            .extend((0..self.plan.size.devices).map(|device| SimDevice::new(device % users)));
        for _ in 0..self.plan.size.nodes {
            self.join();
        }
        self.settle_in();
    }

    fn schedule_clients(&mut self) {
        for (at, device, act) in &self.plan.acts {
            self.queue.push(*at, Event::Client(*device, *act));
        }
        let devices = u64::from(self.plan.size.devices);
        let end = self.plan.size.active - TAIL;
        for device in 0..devices {
            let at = self.rng.below(8 * SECOND);
            self.queue.push(at, Event::Client(device as Dev, Act::Connect));
        }
        for _ in 0..self.plan.size.changes {
            let device = self.rng.below(devices) as Dev;
            let at = self.draw_act();
            self.queue.push(at, Event::Client(device, Act::Churn));
        }
        for index in 0..self.plan.size.sends {
            let device = self.rng.below(devices) as Dev;
            let fault = self.rng.below(self.plan.faults.len() as u64) as usize;
            let at = match self.plan.faults.get(fault) {
                Some((at, _)) if index % 2 == 0 => at + self.rng.below(8 * SECOND),
                _ => 4 * SECOND + self.rng.below(end),
            };
            self.queue.push(at.saturating_sub(2 * SECOND), Event::Client(device, Act::Send));
        }
        for _ in 0..self.plan.size.acts {
            let device = self.rng.below(devices) as Dev;
            let at = 4 * SECOND + self.rng.below(self.plan.size.active - 10 * SECOND);
            self.queue.push(at, Event::Client(device, Act::Any));
        }
    }

    /// Draws a time for an act: near a fault or at any time.
    fn draw_act(&mut self) -> Time {
        let fault = self.rng.below(2 * self.plan.faults.len() as u64 + 1) as usize;
        match self.plan.faults.get(fault) {
            Some((at, _)) => (at + self.rng.below(8 * SECOND)).saturating_sub(2 * SECOND),
            None => 4 * SECOND + self.rng.below(self.plan.size.active - TAIL),
        }
    }

    /// Connects every device for good; it reads everything that waits for it.
    fn gather_clients(&mut self) {
        for sid in 0..self.clients.sessions.len() {
            self.read_all(sid as super::event::Sid);
        }
        for device in 0..self.clients.devices.len() as Dev {
            if self.clients.devices[usize::from(device)].session.is_none() {
                let at = self.now + self.rng.below(SECOND);
                self.queue.push(at, Event::Client(device, Act::Connect));
            }
        }
    }

    /// Runs until a time, or until the oracle objects.
    pub fn go_until(&mut self, end: Time) {
        while self.report.objection.is_none()
            && let Some((at, event)) = self.queue.pop(end)
        {
            self.now = at;
            if !self.holds(&event) {
                self.happen(event);
            }
        }
        self.now = self.now.max(end);
    }

    /// Handles an event.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Thread(at, job) => {
                if self.reaches(job) {
                    self.post(at, job);
                }
            }
            Event::Wake(at) => self.wake(at),
            Event::Server(conn, command) => self.serve(conn, command),
            Event::Client(device, act) => self.act(device, act),
            Event::Fault(index) => self.strike(index),
            Event::Sample => self.sample(),
        }
    }

    /// Whether what comes over a connection is received at all.
    fn reaches(&self, job: Job) -> bool {
        match job {
            Job::Push(conn, _)
            | Job::SubReply(conn)
            | Job::PubReply(conn, _)
            | Job::SubUp(conn)
            | Job::PubUp(conn) => self.redis.arrives(conn, self.now),
            _ => true,
        }
    }

    /// Runs a job of a thread.
    pub fn perform(&mut self, at: At, job: Job) {
        match job {
            Job::LoopDrain => self.hear_told(at),
            Job::WriteDue(chain) => self.row_due(at, chain),
            Job::AskTimeout(ask) => self.ask_timed_out(at, ask),
            Job::RowAck(write) => self.row_acked(at, write),
            Job::ReadDue => self.read_roster(at),
            Job::RosterRead(works) => self.roster_read(at, works),
            Job::Tick if at.thread == super::node::LOOP => self.tick_loop(at),
            Job::Tick => self.tick_worker(at),
            Job::Drain => self.next_item(at),
            Job::Watermark => self.advance_at_once(at),
            Job::Send(wish) => self.send(at, wish),
            Job::Member(wish, works) => self.member_read(at, wish, works),
            Job::MemberAgain(wish) => self.read_member_again(at, wish),
            Job::ReadBack(read, works) => self.was_read_back(at, read, works),
            Job::Passing(message, until) => self.look_at_passing(at, message, until),
            Job::Enter(message) => self.enter_late(at, message),
            Job::StoreAck(message) => self.store_acked(at, message),
            Job::StoreFail(message) => self.store_failed(at, message),
            Job::PubConnect(shard, attempt) => self.connect_publisher(at, shard, attempt),
            Job::PubUp(conn) => self.publisher_up(at, conn),
            Job::PubReply(conn, refused) => self.publisher_answered(at, conn, refused),
            Job::PubClosed(conn) => self.publisher_closed(at, conn),
            Job::Hello(sid) => self.hello(at, sid),
            Job::ConfirmTimeout(sid) => self.confirm_timed_out(at, sid),
            Job::Confirmed(sid) => self.confirmed(at, sid),
            Job::Memberships(sid, number, works) => self.memberships_read(at, sid, number, works),
            Job::RoomsTimeout(sid, number) => self.rooms_timed_out(at, sid, number),
            Job::RoomHeard(user) => self.room_heard(at, user),
            Job::JoinTimeout(user, number) => self.join_timed_out(at, user, number),
            Job::JoinRead(user, number, works) => self.join_read(at, user, number, works),
            Job::ReadAgain(sid) => self.read_again(at, sid),
            Job::Read(sid, number, works) => self.session_read(at, sid, number, works),
            Job::RoundMemberships(number, index, works) => {
                self.round_memberships(at, number, index, works);
            }
            Job::RoundRead(number, index, works) => self.round_read(at, number, index, works),
            Job::Close(sid) => self.end_session(at, sid),
            Job::SubConnect(shard, attempt) => self.connect_subscriber(at, shard, attempt),
            Job::SubUp(conn) => self.subscriber_up(at, conn),
            Job::SubReply(conn) => self.subscriber_answered(at, conn),
            Job::SubClosed(conn) => self.subscriber_closed(at, conn),
            Job::Push(conn, cargo) => self.pushed(at, conn, cargo),
            Job::Command(shard) => self.command(at, shard),
            Job::SubCut(shard) => self.cut_subscriber(at, shard),
        }
    }

    /// Takes a step of a thread.
    pub fn take(&mut self, at: At, step: ThreadStep) {
        match step {
            ThreadStep::IssueRow(write) => self.issue_row(at, write),
            ThreadStep::Grant => self.grant(at),
            ThreadStep::Leave => self.kill(at.life),
            ThreadStep::IssueRoster => self.issue_roster(at),
            ThreadStep::Orders => self.obey(at),
            ThreadStep::Next => self.next_item(at),
            ThreadStep::Write(message) => self.write_message(at, message),
            ThreadStep::Judge(message) => self.check_ack(at, message),
            ThreadStep::Append(message) => self.append(at, message),
            ThreadStep::Flush => self.flush(at),
            ThreadStep::Reply(message) => self.reply(message),
            ThreadStep::AwaitPassing(message) => self.await_passing(at, message),
            ThreadStep::IssueMemberships(sid) => self.issue_memberships(at, sid),
            ThreadStep::IssueJoinRead(user, number) => self.issue_join_read(at, user, number),
            ThreadStep::IssueRead(sid) => self.issue_read(at, sid),
            ThreadStep::IssuePage(sid) => self.issue_page(at, sid),
        }
    }

    /// Whether the loops make a mistake.
    pub fn makes(&self, mutation: Mutation) -> bool {
        self.controls.mutation == Some(mutation)
    }

    /// What is known of a message.
    pub fn message(&self, message: Msg) -> &WriteKnown {
        &self.history.messages[usize::from(message)]
    }

    /// The next incarnation's name.
    pub fn next_incarnation(&mut self) -> Incarnation {
        self.names.incarnations += 1;
        Incarnation(self.names.incarnations)
    }

    /// A key's bucket. Rooms have other buckets than users.
    pub const fn bucket_of(&self, key: SimKey) -> u8 {
        match key.checked_sub(USERS_MAX) {
            None => key % self.plan.size.buckets,
            Some(room) => ROOMS + room % self.plan.size.buckets,
        }
    }

    /// A bucket's shard.
    pub const fn shard_of(&self, bucket: u8) -> u8 {
        bucket % self.plan.size.shards
    }

    /// Records how far the watermarks are behind.
    fn sample(&mut self) {
        let watched = self.plan.watched;
        let is_old = |node: &SimNode| node.alive && self.now >= node.born + START;
        let counts = |node: &&SimNode| is_old(node) && watched & 1 << node.life.node != 0;
        for node in self.nodes.iter().filter(counts) {
            let truth = super::clocks::EPOCH + self.now;
            let watermark = node.agent.watch.watermark().0;
            if let Some(lags) = &mut self.report.lags {
                lags.push(truth.saturating_sub(watermark));
            }
        }
        self.queue.push(self.now + SECOND, Event::Sample);
    }

    /// Records an event.
    pub fn note(&mut self, line: String) {
        let (seconds, micros) = (self.now / SECOND, self.now % SECOND);
        self.report.trace.push(format!("{seconds:3}.{micros:06} {line}"));
    }
}
