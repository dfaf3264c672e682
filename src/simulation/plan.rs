//! The plan that a seed makes of a profile: sizes, delays, and faults with their times.

use super::event::{Act, Dev, ROOMS_MAX};
use super::fault::{Fault, FaultKind};
use super::profile::Profile;
use super::queue::{MILLI, SECOND, Time};
use super::rng::Rng;
use super::store::{Delay, Writing};

/// The size of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Nodes at the start.
    pub nodes: u8,
    /// Workers of a node.
    pub workers: u8,
    /// Shards.
    pub shards: u8,
    /// Buckets.
    pub buckets: u8,
    /// Users.
    pub users: u8,
    /// Rooms.
    pub rooms: u8,
    /// How often a random user joins or leaves a room.
    pub changes: u8,
    /// Devices of all users.
    pub devices: u8,
    /// Sends.
    pub sends: u8,
    /// Other acts of clients.
    pub acts: u8,
    /// Until when things happen.
    pub active: Time,
    /// How long everything is well afterwards.
    pub quiet: Time,
}

/// The delays of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Slowness {
    /// Writes of messages.
    pub messages: Writing,
    /// Writes of heartbeats.
    pub rows: Writing,
    /// Reads of the cluster table.
    pub roster: Delay,
    /// Reads of messages.
    pub reads: Delay,
    /// Reads that fail, of a thousand.
    pub reads_fail_in: u32,
    /// The way to Redis and back.
    pub bus: Delay,
    /// Redis' answers to subscribes.
    pub confirms: Delay,
    /// From one thread to another.
    pub handoff: Delay,
    /// Until a node gives up on a write.
    pub write_timeout: Time,
    /// Stops between two steps of a thread, of a million.
    pub stops_in: u32,
    /// The longest such stop.
    pub stop: Time,
}

/// The bounds of a node.
#[derive(Debug, Clone, Copy)]
pub struct SimBounds {
    /// Deliveries that a worker's queue holds.
    pub inbox: usize,
    /// Publishes that wait for a shard.
    pub queue_max: usize,
    /// Sends that are pending at a worker.
    pub pending: usize,
    /// Deliveries that are remembered.
    pub recent: usize,
    /// Live messages that a resuming session buffers.
    pub buffer: u32,
    /// Frames that a session's outbox holds.
    pub outbox: usize,
    /// Messages of one conversation that a resume sends.
    pub page: u32,
    /// Messages of one key that a read returns at once: the rest is read later.
    pub range: u32,
    /// How long a bucket lingers, in milliseconds.
    pub linger: u64,
    /// Commands of a subscriber connection that are under way at once.
    pub commands: usize,
    /// How long a row of the cluster table is kept.
    pub row_ttl: Time,
}

/// How right the clocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Right.
    Exact,
    /// Wrong by random amounts, within the bounds.
    Wrong,
    /// As wrong as they may be.
    Extreme,
    /// They know an interval that contains the true time, as the product's do. Only then does the
    /// order of ids after an answer have a meaning.
    Interval,
    /// The interval is as wide as it may be.
    WideInterval,
}

/// A schedule's plan.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// The profile that it came from.
    pub profile: Profile,
    /// Its size.
    pub size: Size,
    /// Its delays.
    pub slow: Slowness,
    /// The bounds of its nodes.
    pub bounds: SimBounds,
    /// Its faults, by time.
    pub faults: Vec<(Time, Fault)>,
    /// Acts of certain clients at certain times, beside the random ones.
    pub acts: Vec<(Time, Dev, Act)>,
    /// How right the clocks are.
    pub clocks: Trust,
    /// The nodes whose lag is measured, one bit each.
    pub watched: u8,
    /// How often something is special.
    pub chances: Chances,
    /// The members of each room from the beginning, one bit each.
    pub insiders: [u8; ROOMS_MAX as usize],
    /// Whether workers know the heads of rooms that they subscribe to.
    pub known_heads: bool,
    /// Whether the sessions of a user at a worker share reads of the user's memberships.
    pub shared_reads: bool,
}

/// How often something is special, of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chances {
    /// Messages that go out as one publish to all.
    pub to_all: u32,
    /// Connections that come without a cursor.
    pub fresh: u32,
    /// Connections that are slow.
    pub slow: u32,
}

impl SimOptions {
    /// An empty schedule without delays and without faults.
    pub fn calm(nodes: u8, workers: u8, shards: u8) -> Self {
        let writing = Writing { delay: Delay::steady(MILLI), lost_in: 0, unheard_in: 0 };
        let steady = Delay::steady(MILLI);
        Self {
            profile: Profile::Mix,
            size: Size {
                nodes,
                workers,
                shards,
                buckets: 16,
                users: 6,
                rooms: 0,
                changes: 0,
                devices: 6,
                sends: 0,
                acts: 0,
                active: 0,
                quiet: 0,
            },
            slow: Slowness {
                messages: writing,
                rows: writing,
                roster: steady,
                reads: steady,
                reads_fail_in: 0,
                bus: steady,
                confirms: steady,
                handoff: Delay::steady(0),
                write_timeout: 30 * SECOND,
                stops_in: 0,
                stop: 0,
            },
            bounds: SimBounds {
                inbox: 1000,
                queue_max: 1000,
                pending: 1000,
                recent: 1000,
                buffer: 1000,
                outbox: 1000,
                page: 1000,
                range: 1000,
                linger: 3000,
                commands: 1,
                row_ttl: 3600 * SECOND,
            },
            faults: Vec::new(),
            acts: Vec::new(),
            clocks: Trust::Exact,
            watched: u8::MAX,
            chances: Chances::default(),
            known_heads: false,
            shared_reads: false,
            insiders: [0; ROOMS_MAX as usize],
        }
    }

    /// The plan of a seed.
    pub fn draw(profile: Profile, rng: &mut Rng) -> Self {
        let mut plan = Self::calm(2 + rng.below(3) as u8, 1, 1 + (rng.below(5) / 2) as u8);
        plan.profile = profile;
        plan.clocks = if rng.chance(100) { Trust::Exact } else { Trust::Wrong };
        plan.draw_size(rng);
        plan.draw_slowness(rng);
        plan.draw_bounds(rng);
        profile.shape(&mut plan, rng);
        let count = rng.below(u64::from(plan.profile.faults_max()) + 1);
        for _ in 0..count {
            plan.draw_fault(rng);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// Removes all delays and faults.
    pub fn calm_down(&mut self) {
        self.slow = Self::calm(1, 1, 1).slow;
    }

    fn draw_size(&mut self, rng: &mut Rng) {
        let size = &mut self.size;
        size.buckets = [2, 4, 16][rng.below(3) as usize];
        size.users = 2 + rng.below(3) as u8;
        size.devices = size.users + rng.below(u64::from(size.users) + 1) as u8;
        size.sends = 6 + rng.below(24) as u8;
        size.acts = rng.below(16) as u8;
        size.active = (40 + rng.below(35)) * SECOND;
        size.quiet = if rng.chance(120) { 70 * SECOND } else { 0 };
        self.chances.to_all = [0, 0, 300][rng.below(3) as usize];
        self.chances.fresh = [0, 100, 500][rng.below(3) as usize];
        self.chances.slow = [0, 0, 400][rng.below(3) as usize];
    }

    fn draw_slowness(&mut self, rng: &mut Rng) {
        let tail = |rng: &mut Rng, usual: Time, slow: Time| Delay {
            usual,
            slow_in: [0, 20, 150][rng.below(3) as usize],
            slow: rng.range(slow / 10, slow),
        };
        let slow = &mut self.slow;
        slow.messages.delay = tail(rng, 3 * MILLI, 7 * SECOND);
        slow.messages.lost_in = [0, 30, 100][rng.below(3) as usize];
        slow.messages.unheard_in = [0, 20][rng.below(2) as usize];
        slow.rows.delay = tail(rng, 3 * MILLI, 4 * SECOND);
        slow.rows.lost_in = [0, 50, 200][rng.below(3) as usize];
        slow.rows.unheard_in = [0, 50][rng.below(2) as usize];
        slow.roster = tail(rng, 5 * MILLI, 4 * SECOND);
        slow.reads = tail(rng, 5 * MILLI, 6 * SECOND);
        slow.reads_fail_in = [0, 0, 100][rng.below(3) as usize];
        slow.bus = tail(rng, MILLI, SECOND);
        slow.confirms = tail(rng, MILLI, 3 * SECOND);
        slow.handoff = match rng.below(3) {
            0 => Delay::steady(0),
            _ => Delay { usual: 0, slow_in: 100, slow: SECOND },
        };
        slow.write_timeout = [3, 7, 30][rng.below(3) as usize] * SECOND;
        slow.stops_in = [0, 500, 4000][rng.below(3) as usize];
        slow.stop = [SECOND, 8 * SECOND, 40 * SECOND][rng.below(3) as usize];
    }

    fn draw_bounds(&mut self, rng: &mut Rng) {
        let mut tight = |tight: usize| if rng.chance(250) { tight } else { 1000 };
        let bounds = &mut self.bounds;
        bounds.inbox = tight(2);
        bounds.queue_max = tight(2);
        bounds.pending = tight(3);
        bounds.recent = tight(2);
        bounds.buffer = tight(1) as u32;
        bounds.outbox = tight(6);
        bounds.page = tight(2) as u32;
        bounds.linger = [0, 1000, 5000][rng.below(3) as usize];
    }

    /// Adds a fault of this profile at some time.
    fn draw_fault(&mut self, rng: &mut Rng) {
        let kind = self.profile.draw_kind(rng);
        let at = 6 * SECOND + rng.below(self.size.active - 6 * SECOND);
        self.add(at, kind, rng);
    }

    /// Adds a fault at a time.
    pub fn add(&mut self, at: Time, kind: FaultKind, rng: &mut Rng) {
        let span = match rng.below(4) {
            0 => rng.below(3 * SECOND),
            1 => rng.below(12 * SECOND),
            2 => 5 * SECOND + rng.below(20 * SECOND),
            _ => rng.below(60 * SECOND),
        };
        self.strike(at, kind, (rng.below(16) as u8, rng.below(16) as u8), span);
    }

    /// Adds a fault with a fixed node and part.
    pub fn strike(&mut self, at: Time, kind: FaultKind, (node, which): (u8, u8), span: Time) {
        self.faults.push((at, Fault { kind, node, which, span }));
    }

    /// Adds an act of a client at a time.
    pub fn act(&mut self, at: Time, device: Dev, act: Act) {
        self.acts.push((at, device, act));
    }
}
