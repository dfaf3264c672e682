//! A session: its interest, its reads, what it is handed, and the cursors behind it.

use std::collections::VecDeque;

use super::event::{At, Dev, Event, Job, Life, Msg, Sid};
use super::queue::{SECOND, Time};
use super::slip::Slip;
use super::store::{Looks, Messages, Touch, one};
use super::subscriber::bucket;
use super::thread::Step;
use super::world::World;
use crate::domain::Micros;
use crate::interest::{Standing, Ticket};
use crate::proof::{Footing, Place, READ_MARGIN, Reading, Viewed};

/// How long a session waits for its interest to be confirmed.
const CONFIRM_WAIT: Time = SECOND;

/// What a client is sent.
#[derive(Debug, Clone, Copy)]
pub enum Frame {
    /// A message.
    Message(Msg),
    /// The answer to a send, with the message.
    Sent(Msg),
    /// A cursor. What was past the check when it was sent is not owed to a client that had none,
    /// since history shows it; what it names is owed to nobody.
    Cursor(Micros, Messages, Messages),
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its interest.
    Joining,
    /// Whatever is delivered to its key is handed to it.
    Live,
    /// Its buffer overflowed: nothing is, until its read is over.
    Missing,
    /// It is gone.
    Closed,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// The client's device.
    pub device: Dev,
    /// The user.
    pub user: u8,
    /// The worker's thread.
    pub at: At,
    /// How it stands.
    pub phase: Phase,
    /// Up to where it has everything.
    pub footing: Footing,
    /// Its place in the order of deliveries.
    pub place: Place,
    /// What it was handed by its own reads and rounds, or sent itself.
    pub own: Messages,
    /// How often it missed live deliveries.
    pub missed: u16,
    /// Whether the client is there and listens.
    pub attached: bool,
    /// Whether its connection is slow.
    pub slow: bool,
    /// What was delivered while it is read for.
    buffer: Messages,
    /// What rounds found for it meanwhile: a buffer that overflows must not take that with it, since
    /// the round's cursor counts on it.
    aside: Messages,
    buffering: bool,
    reading: Option<Reading>,
    looks: Looks,
    read_no: u16,
    told_to: Micros,
    gaps: Messages,
    pipe: VecDeque<Frame>,
}

impl Session {
    /// Whether cursors may be handed to it: what is buffered comes first.
    pub const fn may_be_told(&self) -> bool {
        let behind = self.buffering && self.footing.is_told();
        matches!(self.phase, Phase::Live) && !behind
    }

    /// Whether what is delivered waits behind a read.
    pub const fn is_buffering(&self) -> bool {
        self.buffering
    }

    /// Puts messages behind the read.
    pub const fn put_aside(&mut self, messages: Messages) {
        self.aside |= messages;
    }
}

impl World {
    pub(super) fn session(&mut self, sid: Sid) -> &mut Session {
        &mut self.sessions[usize::from(sid)]
    }

    fn viewed(&self, life: Life) -> Viewed {
        self.nodes[usize::from(life.node)].view.look()
    }

    /// Whether a user's key is heard on a node.
    pub fn is_confirmed(&self, life: Life, user: u8) -> bool {
        let index = self.bucket_of(user);
        let hearing =
            &self.nodes[usize::from(life.node)].hearing[usize::from(self.shard_of(index))];
        hearing.machine.is_confirmed(bucket(index))
    }

    /// Makes a session for a client that connects.
    pub fn open_session(&mut self, device: Dev, user: u8, at: At, cursor: Option<Micros>) -> Sid {
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        let footing = Footing::new(cursor.unwrap_or(wall - READ_MARGIN), self.rules);
        let slow = self.rng.chance(self.plan.slow_in);
        self.sessions.push(Session {
            device,
            user,
            at,
            phase: Phase::Joining,
            footing,
            place: Place::default(),
            own: 0,
            missed: 0,
            attached: true,
            slow,
            buffer: 0,
            aside: 0,
            buffering: true,
            reading: None,
            looks: Looks::default(),
            read_no: 0,
            told_to: Micros(0),
            gaps: 0,
            pipe: VecDeque::new(),
        });
        self.sessions.len() as Sid - 1
    }

    /// A session says hello: its interest first.
    pub fn hello(&mut self, at: At, sid: Sid) {
        let node = &self.nodes[usize::from(at.life.node)];
        let Session { user, phase, .. } = *self.session_ref(sid);
        if node.draining || node.refused || phase == Phase::Closed {
            return self.refuse_session(sid);
        }
        self.join_worker(at, sid);
        let index = self.bucket_of(user);
        let shard = self.shard_of(index);
        let ticket = Ticket(u64::from(sid));
        let machine = &mut self.hearing(at.life, shard).machine;
        if machine.confirmation(bucket(index), ticket, |_| true) == Standing::Confirmed {
            self.register(at, sid, true);
        } else {
            self.queue.push(self.now + CONFIRM_WAIT, Event::Thread(at, Job::ConfirmTimeout(sid)));
        }
    }

    /// A session stands with a worker, whose interest in its key it shares.
    pub fn join_worker(&mut self, at: At, sid: Sid) {
        let user = self.session(sid).user;
        let index = self.bucket_of(user);
        let shard = self.shard_of(index);
        let it = self.worker(at);
        it.sessions.push(sid);
        it.holds[usize::from(user)] += 1;
        if it.holds[usize::from(user)] == 1 {
            self.nodes[usize::from(at.life.node)].wants[usize::from(user)] |= 1 << (at.thread - 1);
            self.hearing(at.life, shard).machine.acquire(bucket(index));
            let owner = super::node::owner_of(at.life, shard, self.plan.size.workers);
            self.post(owner, Job::Command(shard));
        }
    }

    fn session_ref(&self, sid: Sid) -> &Session {
        &self.sessions[usize::from(sid)]
    }

    /// A session's interest is confirmed.
    pub fn confirmed(&mut self, at: At, sid: Sid) {
        match self.session(sid).phase {
            Phase::Joining => self.register(at, sid, true),
            Phase::Live => self.read_anew(at, sid),
            _ => {}
        }
    }

    /// A session's interest is not waited for any longer.
    pub fn confirm_timed_out(&mut self, at: At, sid: Sid) {
        if self.session(sid).phase == Phase::Joining {
            self.register(at, sid, false);
        }
    }

    /// Registers a session for live delivery, and begins to read for it.
    fn register(&mut self, at: At, sid: Sid, confirmed: bool) {
        let place = self.worker(at).handed.place();
        let late = self.slip == Some(Slip::LiveAfterReads);
        let session = self.session(sid);
        session.phase = if late { Phase::Missing } else { Phase::Live };
        (session.place, session.buffering, session.buffer) = (place, true, 0);
        self.begin_read(at, sid, confirmed);
    }

    fn begin_read(&mut self, at: At, sid: Sid, confirmed: bool) {
        let watermark = self.worker(at).watermark;
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        let viewed = self.viewed(at.life);
        let session = self.session(sid);
        session.reading = Some(Reading::begin(wall, viewed, confirmed));
        session.read_no += 1;
        session.looks = Looks { above: session.footing.above(watermark).0, ..Looks::default() };
        trace!(
            self,
            "{at:?} session {sid} reads above {} ({confirmed})",
            self.session(sid).looks.above
        );
        self.then(at, Step::IssueRead(sid));
    }

    /// A session's read goes to the store.
    pub fn issue_read(&mut self, at: At, sid: Sid) {
        let user = self.session(sid).user;
        let (looks, end, works) = self.draw_looks(user);
        let session = self.session(sid);
        session.looks = Looks { above: session.looks.above, ..looks };
        let job = Job::Read(sid, session.read_no, works);
        self.queue.push(end, Event::Thread(at, job));
    }

    /// Draws a read of a user's messages: what it touches, when it ends, and whether it works.
    pub fn draw_looks(&mut self, user: u8) -> (Looks, Time, bool) {
        let middle = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let end = middle + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let mut activity = Touch::draw(&mut self.rng, self.now, middle);
        let mut ranges = Touch::draw(&mut self.rng, middle, end);
        if let Some(replica) = self.script.as_ref().and_then(|script| script.unread) {
            (activity, ranges) = (activity.without(replica), ranges.without(replica));
        }
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        (Looks { activity, ranges, above: 0, user }, end, works)
    }

    /// A session's read is over.
    pub fn session_read(&mut self, at: At, sid: Sid, read_no: u16, works: bool) {
        let session = self.session(sid);
        if session.phase == Phase::Closed || session.read_no != read_no {
            return;
        }
        if !works {
            session.reading = None;
            let again = self.now + self.rng.below(SECOND);
            return self.queue.push(again, Event::Thread(at, Job::ReadAgain(sid)));
        }
        let looks = session.looks;
        let found = self.found(&looks);
        self.hand_over(at, sid, found);
        self.conclude_read(at, sid);
    }

    /// A session's failed read begins anew.
    pub fn read_again(&mut self, at: At, sid: Sid) {
        let Session { phase, user, .. } = *self.session_ref(sid);
        if phase != Phase::Closed && self.session(sid).reading.is_none() {
            let confirmed = self.is_confirmed(at.life, user);
            self.begin_read(at, sid, confirmed);
        }
    }

    fn hand_over(&mut self, at: At, sid: Sid, found: Messages) {
        let session = self.session(sid);
        let (buffering, buffer) = (session.buffering, session.buffer | session.aside);
        (session.buffer, session.aside) = (0, 0);
        let fresh = found & !session.own;
        let gaps = if buffering { self.too_many(fresh) } else { 0 };
        self.session(sid).gaps |= gaps;
        self.each_message(found & !gaps, |world, message| {
            if buffering || !world.had(at, sid, message) {
                world.hand_own(sid, message);
            }
        });
        self.each_message(buffer, |world, message| world.hand_own(sid, message));
        if self.slip == Some(Slip::LiveAfterReads) && self.session(sid).missed == 0 {
            let place = self.worker(at).handed.place();
            let session = self.session(sid);
            (session.phase, session.place) = (Phase::Live, place);
        }
    }

    /// What its read found stands in a session's queue: its cursor comes behind it.
    fn conclude_read(&mut self, at: At, sid: Sid) {
        let watermark = self.worker(at).watermark;
        let mut viewed = self.viewed(at.life);
        let session = self.session(sid);
        let Some(reading) = session.reading.take() else { return };
        if session.phase == Phase::Missing {
            // It counts as broken: it did not hear what came meanwhile.
            viewed.breaks = u64::MAX;
        }
        let cursor = session.footing.read(reading, viewed, watermark);
        session.buffering = false;
        trace!(self, "session {sid} read: {cursor:?} {:?}", self.session(sid).footing);
        self.hand_cursor(sid, cursor);
        if self.session(sid).phase == Phase::Missing {
            let confirmed = self.is_confirmed(at.life, self.session_ref(sid).user);
            self.register(at, sid, confirmed);
        }
    }

    /// Reads for a live session that does not share the watermark though nothing is frozen.
    fn read_anew(&mut self, at: At, sid: Sid) {
        let frozen = self.viewed(at.life).frozen;
        let Session { user, phase, .. } = *self.session_ref(sid);
        let session = self.session(sid);
        let idle = session.reading.is_none() && session.footing.is_told();
        if phase == Phase::Live
            && idle
            && !session.footing.is_shared()
            && !frozen
            && self.is_confirmed(at.life, user)
        {
            self.begin_read(at, sid, true);
        }
    }

    /// A second passed.
    pub fn tick_session(&mut self, sid: Sid) {
        let at = self.session(sid).at;
        self.read_anew(at, sid);
    }

    /// Whether a session has had a message.
    pub fn had(&mut self, at: At, sid: Sid, message: Msg) -> bool {
        let Session { user, place, own, .. } = *self.session_ref(sid);
        let id = self.messages[usize::from(message)].id;
        own & one(message) != 0 || self.worker(at).handed.had(id, user.into(), place)
    }

    /// Hands a message that was read for a session to it, unless it was before.
    pub fn hand_own(&mut self, sid: Sid, message: Msg) {
        let session = self.session(sid);
        if session.own & one(message) == 0 {
            session.own |= one(message);
            self.hand(sid, Frame::Message(message));
            if self.slip == Some(Slip::ReadsNoted) {
                let Session { at, user, .. } = *self.session_ref(sid);
                let id = self.messages[usize::from(message)].id;
                self.worker(at).handed.note(id, user.into());
            }
        }
    }

    /// Delivers a message to the sessions of a worker that have not had it.
    pub fn deliver(&mut self, at: At, message: Msg, keys: u8) {
        let known = &self.messages[usize::from(message)];
        let (id, from) = (known.id, known.session);
        let node = &self.nodes[usize::from(at.life.node)];
        node.ids.observe(id.time(), node.clocks.wall(self.now));
        for user in (0..8_u8).filter(|user| keys & 1 << user != 0) {
            self.each_session(at, |world, sid| {
                let Session { user: whose, phase, .. } = *world.session_ref(sid);
                if whose == user
                    && phase == Phase::Live
                    && from != sid
                    && !world.had(at, sid, message)
                {
                    world.deliver_to(at, sid, message);
                }
            });
            self.worker(at).handed.note(id, user.into());
        }
    }

    fn deliver_to(&mut self, at: At, sid: Sid, message: Msg) {
        let max = self.plan.bounds.buffer;
        let watermark = self.worker(at).watermark;
        let session = self.session(sid);
        if !session.buffering {
            return self.hand(sid, Frame::Message(message));
        }
        if session.buffer.count_ones() < max {
            session.buffer |= one(message);
            return;
        }
        // What is buffered stays: a watermark that passed meanwhile counts on it.
        session.missed += 1;
        session.phase = Phase::Missing;
        session.footing.skipped(watermark);
    }

    /// Hands a cursor to a session, behind what it was handed before.
    pub fn hand_cursor(&mut self, sid: Sid, cursor: Micros) {
        let session = self.session(sid);
        if cursor > session.told_to {
            session.told_to = cursor;
            let gaps = std::mem::take(&mut session.gaps);
            let passed = self.passed;
            self.hand(sid, Frame::Cursor(cursor, passed, gaps));
        }
    }

    /// Puts a frame into a session's queue; its client reads it at once, or slowly.
    pub fn hand(&mut self, sid: Sid, frame: Frame) {
        let max = self.plan.bounds.outbox;
        let session = self.session(sid);
        if !session.attached {
            return;
        }
        let (device, at) = (session.device, session.at);
        if !session.slow && session.pipe.is_empty() {
            return self.receive(device, sid, frame);
        }
        session.pipe.push_back(frame);
        if session.pipe.len() > max {
            return self.end_session(at, sid);
        }
        if session.pipe.len() == 1 {
            self.pump_later(sid);
        }
    }

    fn pump_later(&mut self, sid: Sid) {
        let device = self.session(sid).device;
        let wait = self.rng.below(4 * SECOND);
        self.queue.push(self.now + wait, Event::Client(device, super::event::Act::Pump(sid)));
    }

    /// A slow client reads a little.
    pub fn pump(&mut self, device: Dev, sid: Sid) {
        for _ in 0..=self.rng.below(3) {
            let session = self.session(sid);
            if !session.attached {
                return;
            }
            let Some(frame) = session.pipe.pop_front() else { return };
            self.receive(device, sid, frame);
        }
        if !self.session(sid).pipe.is_empty() {
            self.pump_later(sid);
        }
    }

    /// A client reads everything, and is not slow any more.
    pub fn read_all(&mut self, sid: Sid) {
        self.session(sid).slow = false;
        while let Some(device) = self.listener(sid)
            && let Some(frame) = self.session(sid).pipe.pop_front()
        {
            self.receive(device, sid, frame);
        }
    }

    /// A node refuses a session that it does not hold.
    fn refuse_session(&mut self, sid: Sid) {
        self.session(sid).phase = Phase::Closed;
        self.tell_lost(sid);
    }

    /// A node ends a session.
    pub fn end_session(&mut self, at: At, sid: Sid) {
        self.forget_session(at, sid);
        self.tell_lost(sid);
    }

    /// A node gives a session up.
    pub fn forget_session(&mut self, at: At, sid: Sid) {
        let Session { user, phase, .. } = *self.session_ref(sid);
        if phase == Phase::Closed {
            return;
        }
        self.session(sid).phase = Phase::Closed;
        let it = self.worker(at);
        let held = it.sessions.len();
        it.sessions.retain(|other| *other != sid);
        if it.sessions.len() < held {
            self.let_go(at, user);
        }
    }

    fn let_go(&mut self, at: At, user: u8) {
        let it = self.worker(at);
        it.holds[usize::from(user)] -= 1;
        if it.holds[usize::from(user)] > 0 {
            return;
        }
        let (index, now) = (self.bucket_of(user), self.now / super::queue::MILLI);
        let shard = self.shard_of(index);
        let jitter = self.rng.bits();
        let node = &mut self.nodes[usize::from(at.life.node)];
        node.wants[usize::from(user)] &= !(1 << (at.thread - 1));
        self.hearing(at.life, shard).machine.release(bucket(index), now, jitter);
        let owner = super::node::owner_of(at.life, shard, self.plan.size.workers);
        self.post(owner, Job::Command(shard));
    }
}
