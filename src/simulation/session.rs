//! A session: its interest, its reads, its deliveries, and its cursors.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::event::{At, Dev, Event, Job, Life, Msg, Sid, SimKey, SimKeys, USERS_MAX, each_key};
use super::heads::HeadRead;
use super::mutations::Mutation;
use super::queue::{SECOND, Time};
use super::send::SimContent;
use super::store::{Looks, Messages, Touch, one};
use super::subscriber::bucket;
use super::world::World;
use crate::domain::Micros;
use crate::watermark::{CatchUpRead, DeliverySeq, READ_MARGIN, SessionPosition, WatermarkSnapshot};

mod resume;

/// A frame to a client.
#[derive(Debug, Clone, Copy)]
pub enum SimFrame {
    /// A message.
    Message(Msg),
    /// The answer to a send, with the message.
    Sent(Msg),
    /// A cursor. A client that had none is not owed what was past the check when it was sent, since
    /// history shows it. What the cursor names is owed to no client.
    Cursor(Micros, Messages, Messages),
}

/// The phase of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its interest.
    Joining,
    /// Everything that is delivered to its key is delivered to it.
    Live,
    /// Its buffer overflowed: nothing is delivered until its read is over.
    Missing,
    /// It is gone.
    Closed,
}

/// A session.
#[derive(Debug)]
pub struct SimSession {
    /// The client's device.
    pub device: Dev,
    /// The user.
    pub user: u8,
    /// The worker's thread.
    pub at: At,
    /// Its phase.
    pub phase: Phase,
    /// Up to which id it has everything.
    pub position: SessionPosition,
    /// Its place in the order of deliveries.
    pub place: DeliverySeq,
    /// What its own reads and rounds delivered to it, or it sent itself.
    pub own: Messages,
    /// How often it missed live deliveries.
    pub missed: u16,
    /// Its reads, and what waits for them.
    catch_up: SimCatchUp,
    /// Its connection.
    pub link: SimLink,
}

/// The reads for a session, and what waits for them.
#[derive(Debug)]
struct SimCatchUp {
    /// What was delivered while it is read for.
    buffer: Messages,
    /// What rounds found for it meanwhile. A buffer that overflows must not drop that as well,
    /// since the round's cursor counts on it.
    aside: Messages,
    buffering: bool,
    reading: Option<CatchUpRead>,
    /// The read of its user's memberships, and when that began.
    memberships: Option<(Touch, Time)>,
    /// The read that waits until its rooms are confirmed.
    awaits_rooms: Option<u16>,
    /// The id above which it is read for.
    above: Micros,
    /// What is still to be read, one part each.
    pages: SmallVec<[Looks; 1]>,
    /// The heads that its read shows.
    heads: SmallVec<[HeadRead; 1]>,
    read_no: u16,
}

/// A session's connection to its client.
#[derive(Debug)]
pub struct SimLink {
    /// Whether the client is connected and listens.
    pub attached: bool,
    /// Whether it is slow.
    pub slow: bool,
    /// The last cursor that was sent.
    told_to: Micros,
    /// What the client is not owed from the next cursor on.
    gaps: Messages,
    pipe: VecDeque<SimFrame>,
}

impl SimSession {
    /// Whether cursors may be sent to it: what is buffered comes first.
    pub const fn may_be_told(&self) -> bool {
        let behind = self.catch_up.buffering && self.position.is_told();
        matches!(self.phase, Phase::Live) && !behind
    }

    /// Whether live deliveries wait for a read.
    pub const fn is_buffering(&self) -> bool {
        self.catch_up.buffering
    }

    /// Begins a read with a user's own part.
    pub fn begin_parts(&mut self, looks: Looks) {
        self.catch_up.pages.clear();
        self.catch_up.heads.clear();
        self.catch_up.pages.push(looks);
    }

    /// Adds a room to the read, and its head with it.
    pub fn add_part(&mut self, looks: Looks, head: Option<HeadRead>) {
        self.catch_up.pages.push(looks);
        self.catch_up.heads.extend(head);
    }

    /// Adds a room whose head is known, and so whether there is anything to read.
    pub fn add_known(&mut self, fresh: Option<Looks>, earns: bool) {
        self.catch_up.pages.extend(fresh);
        if !earns {
            self.catch_up.reading = self.catch_up.reading.map(CatchUpRead::by_known_heads);
        }
    }

    /// Keeps messages until after the read.
    pub const fn put_aside(&mut self, messages: Messages) {
        self.catch_up.aside |= messages;
    }
}

impl World {
    pub(super) fn session(&mut self, sid: Sid) -> &mut SimSession {
        &mut self.clients.sessions[usize::from(sid)]
    }

    pub(super) fn viewed(&self, life: Life) -> WatermarkSnapshot {
        self.nodes[usize::from(life.node)].view.look()
    }

    /// Whether a key's subscription is confirmed on a node.
    pub fn is_confirmed(&self, life: Life, key: SimKey) -> bool {
        let index = self.bucket_of(key);
        let hearing =
            &self.nodes[usize::from(life.node)].interest.hearing[usize::from(self.shard_of(index))];
        hearing.machine.is_confirmed(bucket(index))
    }

    /// Makes a session for a client that connects.
    pub fn open_session(&mut self, device: Dev, user: u8, at: At, cursor: Option<Micros>) -> Sid {
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        let position =
            SessionPosition::new(cursor.unwrap_or(wall - READ_MARGIN), self.controls.rules);
        // In the end no client is slow: the check then is how far a node is behind.
        let slow = self.rng.chance(self.plan.chances.slow) && self.now < self.plan.size.active;
        self.clients.sessions.push(SimSession {
            device,
            user,
            at,
            phase: Phase::Joining,
            position,
            place: DeliverySeq::default(),
            own: 0,
            missed: 0,
            catch_up: SimCatchUp {
                buffer: 0,
                aside: 0,
                buffering: true,
                reading: None,
                memberships: None,
                awaits_rooms: None,
                above: Micros(0),
                pages: SmallVec::new(),
                heads: SmallVec::new(),
                read_no: 0,
            },
            link: SimLink {
                attached: true,
                slow,
                told_to: Micros(0),
                gaps: 0,
                pipe: VecDeque::new(),
            },
        });
        self.clients.sessions.len() as Sid - 1
    }

    fn session_ref(&self, sid: Sid) -> &SimSession {
        &self.clients.sessions[usize::from(sid)]
    }

    /// Whether a session has a message.
    pub fn had(&mut self, at: At, sid: Sid, message: Msg) -> bool {
        let SimSession { user, place, own, .. } = *self.session_ref(sid);
        let (id, content) = (self.message(message).id, self.content(message));
        let (key, place) = match content {
            SimContent::Room(room) => (room, self.place_in(at, user, room, place)),
            _ => (user, place),
        };
        own & one(message) != 0 || self.worker(at).recent.had(id, key.into(), place)
    }

    /// Delivers a message that was read for a session to it, unless the session has it.
    pub fn deliver_own(&mut self, sid: Sid, message: Msg) {
        let SimSession { at, user, own, .. } = *self.session_ref(sid);
        if own & one(message) == 0 && self.may_be_handed(at, user, message) {
            let session = self.session(sid);
            session.own |= one(message);
            self.hand(sid, SimFrame::Message(message));
            if self.makes(Mutation::ReadsNoted) {
                let SimSession { at, user, .. } = *self.session_ref(sid);
                let id = self.message(message).id;
                self.worker(at).recent.note(id, user.into());
            }
        }
    }

    /// Delivers a message to the sessions of a worker that do not have it.
    pub fn deliver(&mut self, at: At, message: Msg, keys: SimKeys) {
        let known = self.message(message);
        let (id, content) = (known.id, known.content);
        let from = (!known.by_service).then_some(known.session);
        let node = &self.nodes[usize::from(at.life.node)];
        node.ids.observe(id.time(), super::send::most_of_an_id(&node.clocks, self.now));
        if let SimContent::Change(change) = content {
            return self.hear_notice(at, &change);
        }
        for key in each_key(keys) {
            self.each_session(at, |world, sid| {
                let SimSession { user, phase, .. } = *world.session_ref(sid);
                if (user == key || key >= USERS_MAX && world.is_his(at, user, message))
                    && phase == Phase::Live
                    && from != Some(sid)
                    && !world.had(at, sid, message)
                {
                    world.deliver_to(at, sid, message);
                }
            });
            self.worker(at).recent.note(id, key.into());
        }
        self.note_head(at, message);
    }

    fn content(&self, message: Msg) -> SimContent {
        self.message(message).content
    }

    fn deliver_to(&mut self, at: At, sid: Sid, message: Msg) {
        let max = self.plan.bounds.buffer;
        let watermark = self.worker(at).watermark;
        let session = self.session(sid);
        if !session.catch_up.buffering {
            return self.hand(sid, SimFrame::Message(message));
        }
        if session.catch_up.buffer.count_ones() < max {
            session.catch_up.buffer |= one(message);
            return;
        }
        // What is buffered stays: a watermark that passed meanwhile counts on it.
        session.missed += 1;
        session.phase = Phase::Missing;
        session.position.skipped(watermark);
    }

    /// Sends a cursor to a session, after what was delivered before.
    pub fn send_cursor(&mut self, sid: Sid, cursor: Micros) {
        let SimSession { at, user, .. } = *self.session_ref(sid);
        let cap = self.user_rooms(at, user).and_then(|it| it.user_rooms.cap());
        let cursor = cap.map_or(cursor, |cap| cap.min(cursor));
        let session = self.session(sid);
        if cursor > session.link.told_to {
            session.link.told_to = cursor;
            let gaps = std::mem::take(&mut session.link.gaps);
            let passed = self.history.passed;
            self.hand(sid, SimFrame::Cursor(cursor, passed, gaps));
        }
    }

    /// Puts a frame into a session's queue; its client reads it at once, or slowly.
    pub fn hand(&mut self, sid: Sid, frame: SimFrame) {
        let max = self.plan.bounds.outbox;
        let session = self.session(sid);
        if !session.link.attached {
            return;
        }
        let (device, at) = (session.device, session.at);
        if let SimFrame::Message(message) = frame {
            self.judge_handed(sid, message);
        }
        let session = self.session(sid);
        if !session.link.slow && session.link.pipe.is_empty() {
            return self.receive(device, sid, frame);
        }
        session.link.pipe.push_back(frame);
        if session.link.pipe.len() > max {
            return self.end_session(at, sid);
        }
        if session.link.pipe.len() == 1 {
            self.pump_later(sid);
        }
    }

    fn pump_later(&mut self, sid: Sid) {
        let device = self.session(sid).device;
        let wait = self.rng.below(4 * SECOND);
        self.queue.push(self.now + wait, Event::Client(device, super::event::Act::Pump(sid)));
    }

    /// Makes a slow client read a little.
    pub fn pump(&mut self, device: Dev, sid: Sid) {
        for _ in 0..=self.rng.below(3) {
            let session = self.session(sid);
            if !session.link.attached {
                return;
            }
            let Some(frame) = session.link.pipe.pop_front() else { return };
            self.receive(device, sid, frame);
        }
        if !self.session(sid).link.pipe.is_empty() {
            self.pump_later(sid);
        }
    }

    /// Makes a client read everything; it is no longer slow.
    pub fn read_all(&mut self, sid: Sid) {
        self.session(sid).link.slow = false;
        while let Some(device) = self.listener(sid)
            && let Some(frame) = self.session(sid).link.pipe.pop_front()
        {
            self.receive(device, sid, frame);
        }
    }

    /// Refuses a session at a node that does not hold it.
    fn refuse_session(&mut self, sid: Sid) {
        self.session(sid).phase = Phase::Closed;
        self.tell_lost(sid);
    }

    /// Ends a session at its node.
    pub fn end_session(&mut self, at: At, sid: Sid) {
        self.forget_session(at, sid);
        self.tell_lost(sid);
    }

    /// Drops a session at its node.
    pub fn forget_session(&mut self, at: At, sid: Sid) {
        let SimSession { user, phase, .. } = *self.session_ref(sid);
        if phase == Phase::Closed {
            return;
        }
        self.session(sid).phase = Phase::Closed;
        self.end_load(at, sid);
        let it = self.worker(at);
        let held = it.sessions.len();
        it.sessions.retain(|other| *other != sid);
        if it.sessions.len() < held {
            self.leave_belonging(at, user);
            self.let_go(at, user);
        }
    }

    /// Removes one holder of interest in a key.
    pub(super) fn let_go(&mut self, at: At, key: SimKey) {
        let it = self.worker(at);
        it.holds[usize::from(key)] -= 1;
        if it.holds[usize::from(key)] > 0 {
            return;
        }
        self.forget_head(at, key);
        let (index, now) = (self.bucket_of(key), self.now / super::queue::MILLI);
        let shard = self.shard_of(index);
        let jitter = self.rng.bits();
        let node = &mut self.nodes[usize::from(at.life.node)];
        node.interest.wants[usize::from(key)] &= !(1 << (at.thread - 1));
        self.hearing(at.life, shard).machine.release(bucket(index), now, jitter);
        let owner = super::node::owner_of(at.life, shard, self.plan.size.workers);
        self.post(owner, Job::Command(shard));
    }
}
