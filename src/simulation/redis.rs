//! Redis: servers that come and go, and connections that queue in order, are lost, or stop
//! receiving.
//!
//! A publish is queued to all subscribers of its channel, in the server's order, before it is
//! answered. Everything that a connection has not delivered when it is lost is lost with it.

use smallvec::SmallVec;

use super::event::{ALL, At, Conn, Event, Job, Life, OWN, SimCargo, SimCommand};
use super::plan::Trust;
use super::queue::{MILLI, SECOND, Time};
use super::store::NEVER;
use super::world::World;
use crate::cluster::ServerRun;

/// One run of a server.
#[derive(Debug)]
pub struct SimServer {
    shard: u8,
    alive: bool,
    /// It does nothing until then.
    stalled: Time,
    /// It crashes in the next pipeline, after this many of its publishes.
    pub crash_after: Option<u8>,
    conns: SmallVec<[Conn; 8]>,
}

/// A connection.
#[derive(Debug)]
pub struct SimConnection {
    /// The thread that owns it.
    pub owner: At,
    /// Whether it subscribes; it publishes otherwise.
    subscribes: bool,
    /// Its shard.
    pub shard: u8,
    server: u8,
    /// Whether the node uses it.
    pub open: bool,
    /// Nothing arrives from then on, either way.
    dead: Time,
    /// Nothing arrives at the node, which does not notice.
    pub deaf: bool,
    channels: u64,
    up_free: Time,
    down_free: Time,
}

/// Redis.
#[derive(Debug, Default)]
pub struct Redis {
    servers: Vec<SimServer>,
    /// The primary of each shard, to which its name points.
    primaries: SmallVec<[u8; 4]>,
    /// The nodes that still find another server under a shard's name, and until when.
    stale: Vec<(Life, u8, u8, Time)>,
    conns: Vec<SimConnection>,
    pipelines: Vec<SmallVec<[SimCargo; 4]>>,
    free: Vec<u16>,
}

impl Redis {
    /// Removes everything but a fresh primary per shard.
    pub fn reset(&mut self, shards: u8) {
        self.servers.clear();
        self.primaries.clear();
        self.stale.clear();
        self.conns.clear();
        self.free.clear();
        self.free.extend(0..self.pipelines.len() as u16);
        for shard in 0..shards {
            let server = self.start(shard);
            self.primaries.push(server);
        }
    }

    fn start(&mut self, shard: u8) -> u8 {
        let conns = SmallVec::new();
        self.servers.push(SimServer { shard, alive: true, stalled: 0, crash_after: None, conns });
        self.servers.len() as u8 - 1
    }

    /// Gives a shard's name to a fresh server while the old one lives on, and returns the old one.
    pub fn begin_incarnation(&mut self, shard: u8) -> u8 {
        let fresh = self.start(shard);
        std::mem::replace(&mut self.primaries[usize::from(shard)], fresh)
    }

    /// Makes a node find an old server under a shard's name, until then.
    pub fn mislead(&mut self, life: Life, shard: u8, old: u8, until: Time) {
        self.stale.push((life, shard, old, until));
    }

    /// Makes a node find the primaries under their names.
    pub fn inform(&mut self, life: Life) {
        self.stale.retain(|(misled, ..)| *misled != life);
    }

    /// A connection.
    pub fn conn(&self, conn: Conn) -> &SimConnection {
        &self.conns[usize::from(conn)]
    }

    /// A connection.
    pub fn conn_mut(&mut self, conn: Conn) -> &mut SimConnection {
        &mut self.conns[usize::from(conn)]
    }

    /// The primary of a shard.
    pub fn primary(&self, shard: u8) -> u8 {
        self.primaries[usize::from(shard)]
    }

    /// The primary of a shard.
    pub fn primary_mut(&mut self, shard: u8) -> &mut SimServer {
        &mut self.servers[usize::from(self.primaries[usize::from(shard)])]
    }

    /// The run that a connection is connected to.
    pub fn run(&self, conn: Conn) -> ServerRun {
        ServerRun(u64::from(self.conn(conn).server) + 1)
    }

    /// Whether something that arrives now on a connection is received at all.
    pub fn arrives(&self, conn: Conn, now: Time) -> bool {
        let conn = self.conn(conn);
        now < conn.dead && !conn.deaf
    }

    fn resolve(&self, life: Life, shard: u8, now: Time) -> u8 {
        let is_mine =
            |entry: &&(Life, u8, u8, Time)| entry.0 == life && entry.1 == shard && now < entry.3;
        self.stale.iter().find(is_mine).map_or(self.primary(shard), |entry| entry.2)
    }

    /// The open connections of a node to a shard, or of all nodes to a server.
    fn open_conns(&self, is: impl Fn(&SimConnection) -> bool) -> SmallVec<[Conn; 16]> {
        let indexed = self.conns.iter().enumerate();
        indexed.filter(|(_, conn)| conn.dead == NEVER && is(conn)).map(|(i, _)| i as Conn).collect()
    }

    /// Fills a pipeline with publishes, and returns its index.
    pub fn pipeline<'a>(&mut self, publishes: impl Iterator<Item = &'a SimCargo>) -> Option<u16> {
        let mut publishes = publishes.peekable();
        publishes.peek()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pipelines.push(SmallVec::new());
            self.pipelines.len() as u16 - 1
        });
        let pipeline = &mut self.pipelines[usize::from(slot)];
        pipeline.clear();
        pipeline.extend(publishes.copied());
        Some(slot)
    }
}

impl World {
    /// Connects a thread to the primary of a shard, as its node resolves it. The thread is told
    /// when the connection is up. Returns false if there is no server.
    pub fn connect(&mut self, owner: At, shard: u8, subscribes: bool) -> bool {
        let server = self.redis.resolve(owner.life, shard, self.now);
        if !self.redis.servers[usize::from(server)].alive || self.is_unreachable(owner.life) {
            return false;
        }
        let conn = self.redis.conns.len() as Conn;
        self.redis.conns.push(SimConnection {
            owner,
            subscribes,
            shard,
            server,
            open: true,
            dead: NEVER,
            deaf: false,
            channels: 0,
            up_free: 0,
            down_free: 0,
        });
        self.redis.servers[usize::from(server)].conns.push(conn);
        self.send_down(conn, if subscribes { Job::SubUp(conn) } else { Job::PubUp(conn) });
        true
    }

    /// Sends something over a connection to its server.
    pub fn send_up(&mut self, conn: Conn, command: SimCommand) {
        let at = self.now + self.plan.slow.bus.draw(&mut self.rng);
        let link = self.redis.conn_mut(conn);
        link.up_free = at.max(link.up_free);
        self.queue.push(link.up_free, Event::Server(conn, command));
    }

    /// Sends something over a connection to its node.
    fn send_down(&mut self, conn: Conn, job: Job) {
        let slow = self.plan.slow;
        let delay = if matches!(job, Job::SubReply(_)) { slow.confirms } else { slow.bus };
        let at = self.now + delay.draw(&mut self.rng);
        let link = self.redis.conn_mut(conn);
        link.down_free = at.max(link.down_free);
        let event = Event::Thread(link.owner, job);
        self.queue.push(link.down_free, event);
    }

    /// Handles a command at a server.
    pub fn serve(&mut self, conn: Conn, command: SimCommand) {
        let link = self.redis.conn(conn);
        let server = &self.redis.servers[usize::from(link.server)];
        if link.dead <= self.now || !server.alive {
            if let SimCommand::Publish(slot) = command {
                self.redis.free.push(slot);
            }
            return;
        }
        if server.stalled > self.now {
            return self.queue.push(server.stalled, Event::Server(conn, command));
        }
        match command {
            SimCommand::Publish(slot) => self.serve_pipeline(conn, slot),
            SimCommand::Subscribe(channels) => {
                self.redis.conn_mut(conn).channels |= channels;
                self.send_down(conn, Job::SubReply(conn));
            }
            SimCommand::Unsubscribe(channels) => {
                self.redis.conn_mut(conn).channels &= !channels;
                self.send_down(conn, Job::SubReply(conn));
            }
        }
    }

    fn serve_pipeline(&mut self, conn: Conn, slot: u16) {
        let server = self.redis.conn(conn).server;
        let crash = self.redis.servers[usize::from(server)].crash_after;
        let pipeline = std::mem::take(&mut self.redis.pipelines[usize::from(slot)]);
        let reached = crash.map_or(pipeline.len(), |after| pipeline.len().min(usize::from(after)));
        let mut refused = 0;
        for (index, cargo) in pipeline[..reached].iter().enumerate() {
            if index < 8 && self.plan.clocks != Trust::Exact && self.rng.rarely(2000) {
                refused |= 1 << index;
            } else {
                self.push_to_subscribers(server, *cargo);
            }
        }
        self.redis.pipelines[usize::from(slot)] = pipeline;
        self.redis.free.push(slot);
        if crash.is_some() {
            // Some subscribers receive the answer before the crash, if there is one.
            if self.rng.chance(500) && crash == Some(u8::MAX) {
                self.send_down(conn, Job::PubReply(conn, refused));
            }
            return self.crash(server);
        }
        self.send_down(conn, Job::PubReply(conn, refused));
    }

    fn push_to_subscribers(&mut self, server: u8, cargo: SimCargo) {
        let conns = std::mem::take(&mut self.redis.servers[usize::from(server)].conns);
        for conn in &conns {
            let link = self.redis.conn(*conn);
            if link.subscribes && link.channels & 1 << cargo.channel != 0 && !link.deaf {
                self.send_down(*conn, Job::Push(*conn, cargo));
            }
        }
        self.redis.servers[usize::from(server)].conns = conns;
    }

    /// Ends a server, and its connections with it.
    pub fn crash(&mut self, server: u8) {
        self.redis.servers[usize::from(server)].alive = false;
        for conn in self.redis.open_conns(|conn| conn.server == server) {
            self.sever(conn);
        }
    }

    /// Ends a primary; after `down` another takes its name, empty.
    pub fn restart_shard(&mut self, shard: u8, down: Time) {
        let old = self.redis.primary(shard);
        if self.redis.servers[usize::from(old)].alive {
            self.crash(old);
        }
        self.later(down, super::fault::FaultKind::Promote, shard);
    }

    /// Gives a shard's name to another server, unless a live one has it.
    pub fn promote(&mut self, shard: u8) {
        if !self.redis.servers[usize::from(self.redis.primary(shard))].alive {
            self.redis.primaries[usize::from(shard)] = self.redis.start(shard);
        }
    }

    /// Gives a shard's name to a fresh server while the old one lives on for `span`; some nodes
    /// still find the old one.
    pub fn fail_over(&mut self, shard: u8, span: Time) {
        let old = self.redis.begin_incarnation(shard);
        for node in 0..self.nodes.len() {
            if self.rng.chance(300) {
                let until = self.now + self.rng.below(span + 1);
                self.redis.mislead(self.nodes[node].life, shard, old, until);
            }
        }
        self.later(span, super::fault::FaultKind::Heal, old);
    }

    /// Ends an old primary.
    pub fn heal(&mut self, server: u8) {
        if self.redis.servers[usize::from(server)].alive {
            self.crash(server);
        }
    }

    /// Makes a shard have one primary, which works; deaf connections are lost.
    pub fn heal_shard(&mut self, shard: u8) {
        self.promote(shard);
        self.redis.stale.clear();
        let primary = self.redis.primary(shard);
        for server in 0..self.redis.servers.len() as u8 {
            let it = &mut self.redis.servers[usize::from(server)];
            if it.shard == shard {
                (it.stalled, it.crash_after) = (0, None);
                if server != primary {
                    self.heal(server);
                }
            }
        }
        for conn in self.redis.open_conns(|conn| conn.shard == shard && conn.deaf) {
            self.sever(conn);
        }
    }

    /// Makes a server do nothing for a while.
    pub fn stall(&mut self, shard: u8, span: Time) {
        self.redis.primary_mut(shard).stalled = self.now + span;
    }

    /// Loses a connection: a part of what is under way still arrives, and the node may take long to
    /// notice.
    pub fn sever(&mut self, conn: Conn) {
        if self.redis.conn(conn).dead != NEVER {
            return;
        }
        let (grace, notice) = self.draw_severance();
        let dead = self.now + grace;
        self.detach(conn, dead);
        let link = self.redis.conn(conn);
        let job = if link.subscribes { Job::SubClosed(conn) } else { Job::PubClosed(conn) };
        self.queue.push(dead + notice, Event::Thread(link.owner, job));
    }

    /// How long a connection that is being lost still works, and how long its node does not notice.
    /// In a script it breaks at once.
    fn draw_severance(&mut self) -> (Time, Time) {
        if self.controls.script.is_some() {
            return (1, 1);
        }
        let grace = if self.rng.chance(500) { 1 } else { 1 + self.rng.below(20 * MILLI) };
        let notice = match self.rng.below(8) {
            0 => self.rng.below(15 * SECOND),
            1 | 2 => self.rng.below(SECOND),
            _ => self.rng.below(5 * MILLI),
        };
        (grace, notice)
    }

    /// Handles that the node gave a connection up.
    pub fn hang_up(&mut self, conn: Conn) {
        self.redis.conn_mut(conn).open = false;
        if self.redis.conn(conn).dead == NEVER {
            // What it sent before may still be served.
            let dead = self.now + 1 + self.rng.below(30 * MILLI);
            self.detach(conn, dead);
        }
    }

    fn detach(&mut self, conn: Conn, dead: Time) {
        let link = self.redis.conn_mut(conn);
        link.dead = dead;
        let server = link.server;
        self.redis.servers[usize::from(server)].conns.retain(|other| *other != conn);
    }

    /// Severs or deafens the connections of a node to a shard.
    pub fn hurt_links(&mut self, life: Life, shard: u8, subscribes: bool, deafen: bool) {
        let is_hers = |conn: &SimConnection| {
            conn.owner.life == life && conn.shard == shard && conn.subscribes == subscribes
        };
        for conn in self.redis.open_conns(is_hers) {
            if deafen {
                self.redis.conn_mut(conn).deaf = true;
            } else {
                self.sever(conn);
            }
        }
    }

    /// Severs all connections of a node.
    pub fn sever_node(&mut self, life: Life) {
        for conn in self.redis.open_conns(|conn| conn.owner.life == life) {
            self.sever(conn);
        }
    }
}

/// The channels that a node always subscribes to.
pub const fn always(node: u8) -> u64 {
    1 << ALL | 1 << (OWN + node)
}
