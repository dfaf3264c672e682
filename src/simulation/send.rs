//! A send: id and entry, the store, the check, the shard connections, `sent`. A change of a
//! membership is a send too.

use std::time::Duration;

use super::change::{Change, Touches};
use super::clocks::Clocks;
use super::event::USERS_MAX;
use super::event::{ALL, At, Event, Job, Msg, Sid, SimCargo, SimKey, SimKeys, What, only};
use super::mutations::Mutation;
use super::queue::Time;
use super::session::{Phase, SimFrame};
use super::store::{Looks, Messages, NEVER, Stored, one};
use super::thread::ThreadStep;
use super::world::World;
use crate::clock::{CLAIMED_MAX, IDS_AHEAD_MAX};
use crate::domain::{MessageId, Micros};
use crate::watermark::{AckDecision, SendId};
use smallvec::{SmallVec, smallvec};

/// Most messages of a schedule: a set of them is a word.
pub const MESSAGES_MAX: usize = 64;

/// What a client wants to send.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The session.
    pub session: Sid,
    /// What it wants.
    pub want: Want,
    /// The newest id that it has seen.
    pub after: Micros,
    /// The reads that a change begins with.
    pub touches: Touches,
    /// The removal that was written again, since an add follows it.
    pub confirmed: MessageId,
    /// What was acknowledged when a change was requested.
    pub acked: Messages,
}

impl Wish {
    /// A wish before anything was done for it.
    pub fn new(session: Sid, want: Want, after: Micros) -> Self {
        let touches = Touches::default();
        let confirmed = crate::domain::NEVER;
        Self { session, want, after, touches, confirmed, acked: 0 }
    }
}

/// Largest time at which an id that a node delivered or read is believed.
pub fn most_of_an_id(clocks: &Clocks, now: Time) -> Micros {
    clocks.wall(now) + if clocks.is_interval() { IDS_AHEAD_MAX } else { ANY_CLOCK }
}

/// Largest time at which a client's claim to have seen an id is believed.
fn most_claimed(clocks: &Clocks, now: Time) -> Micros {
    clocks.wall(now) + if clocks.is_interval() { CLAIMED_MAX } else { ANY_CLOCK }
}

/// How far clocks at the two ends of the watermark's bound differ, and a second for the way.
const ANY_CLOCK: Duration = Duration::from_secs(11);

/// What may be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A message to a user.
    Direct(u8),
    /// A message to a room.
    Room(SimKey),
    /// The same from a service, through a node that may hold no member of the room.
    Service(SimKey),
    /// A user is to be in a room, or out of it.
    Change {
        /// The user.
        user: u8,
        /// The room.
        room: SimKey,
        /// Whether in.
        inside: bool,
    },
}

/// The content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there are 64 of them, and all are copied")]
pub enum SimContent {
    /// For a user: sender and recipient.
    Direct([u8; 2]),
    /// For a room.
    Room(SimKey),
    /// A change of a membership.
    Change(Change),
}

impl SimContent {
    /// Whether a user may be one of its recipients.
    pub fn may_concern(&self, user: u8) -> bool {
        match self {
            Self::Direct(users) => users.contains(&user),
            Self::Room(_) => true,
            Self::Change(change) => change.user == user,
        }
    }

    /// Whether both belong to one conversation.
    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct(mine), Self::Direct([a, b])) => *mine == [*a, *b] || *mine == [*b, *a],
            _ => self == other,
        }
    }
}

/// A message, as the world knows it.
#[derive(Debug, Clone, Copy)]
pub struct WriteKnown {
    /// Its id.
    pub id: MessageId,
    /// What it is.
    pub content: SimContent,
    /// The session that sent it, or over which the service that sent it is answered.
    pub session: Sid,
    /// Whether a service sent it: then it is not the session's own.
    pub by_service: bool,
    /// Its rows in the store.
    pub stored: Stored,
    /// Its entry in the pending table.
    pub send_id: Option<SendId>,
    /// Whether it was answered.
    pub answered: bool,
}

impl World {
    /// Handles a client's send at its session.
    pub fn send(&mut self, at: At, index: u16) {
        let Wish { session, want, after, .. } = self.clients.wishes[usize::from(index)];
        if !self.may_send(at, session) {
            return self.answer_nothing(session);
        }
        let user = self.clients.sessions[usize::from(session)].user;
        let content = match want {
            Want::Direct(to) => SimContent::Direct([user, to]),
            Want::Room(room) if self.is_inside(at, user, room) => SimContent::Room(room),
            Want::Room(_) => return self.answer_nothing(session),
            Want::Service(room) => SimContent::Room(room),
            Want::Change { .. } => return self.begin_change(at, index),
        };
        let by_service = matches!(want, Want::Service(_));
        self.issue(at, (session, by_service), after, |_| content);
    }

    /// Whether a session may send now.
    pub fn may_send(&mut self, at: At, session: Sid) -> bool {
        let node = &mut self.nodes[usize::from(at.life.node)];
        let moment = node.clocks.moment(self.now);
        let worker = &mut node.workers[usize::from(at.thread - 1)];
        let may = node.view.lease().is_some_and(|lease| {
            lease.generation == worker.tracker.generation() && moment < lease.until
        });
        let session = &self.clients.sessions[usize::from(session)];
        let is_open = session.phase == Phase::Live && !node.faults.refused && !node.draining;
        may && is_open && worker.tracker.has_room() && self.history.messages.len() < MESSAGES_MAX
    }

    /// Issues an id above `after` and enters it.
    pub fn issue(
        &mut self,
        at: At,
        (session, by_service): (Sid, bool),
        after: Micros,
        content: impl FnOnce(MessageId) -> SimContent,
    ) {
        let node = &mut self.nodes[usize::from(at.life.node)];
        let moment = node.clocks.moment(self.now);
        let wall = node.clocks.wall(self.now);
        let worker = &mut node.workers[usize::from(at.thread - 1)];
        node.ids.observe(after, most_claimed(&node.clocks, self.now));
        let mutation = self.controls.mutation;
        let below = mutation == Some(Mutation::IdsFromLowerEnd);
        let end = if below { node.clocks.lower(self.now) } else { wall };
        let time = node.ids.issue(end);
        let message = self.history.messages.len() as Msg;
        let id = MessageId::new(time, u64::from(message));
        let content = content(id);
        let is_change = matches!(content, SimContent::Change(_));
        let unentered = is_change && mutation == Some(Mutation::ChangeUnentered);
        let late = mutation == Some(Mutation::LateEntry);
        let send_id = (!late && !unentered).then(|| worker.tracker.enter(time, moment));
        let stored = Stored::NOWHERE;
        let known =
            WriteKnown { id, content, session, by_service, stored, send_id, answered: false };
        self.history.messages.push(known);
        self.file(message);
        trace!(self, "{at:?} issues {message} {time}: {content:?}");
        self.judge_issue(message);
        if late {
            let delay = self.rng.below(super::queue::SECOND);
            return self.queue.push(self.now + delay, Event::Thread(at, Job::Enter(message)));
        }
        self.then(at, ThreadStep::Write(message));
    }

    /// Enters a message long after its id was issued, which must never happen.
    pub fn enter_late(&mut self, at: At, message: Msg) {
        let (time, moment) = (self.message(message).id.time(), self.moment(at.life));
        let send_id = self.worker(at).tracker.enter(time, moment);
        self.history.messages[usize::from(message)].send_id = Some(send_id);
        self.then(at, ThreadStep::Write(message));
    }

    /// Issues an entered message to the store.
    pub fn write_message(&mut self, at: At, message: Msg) {
        let writing = self.plan.slow.messages;
        let direct = matches!(self.message(message).content, SimContent::Direct(_));
        let draw = if direct { Stored::draw } else { Stored::draw_two };
        let mut stored = draw(&writing, &mut self.rng, self.now);
        let mut heard = !self.rng.chance(writing.unheard_in);
        if let Some(fate) = self.message_fate(at.life) {
            (stored, heard) = fate;
        }
        self.history.messages[usize::from(message)].stored = stored;
        let quorum = stored.quorum();
        let answer: Time = 1 + self.rng.below(1000);
        let limit = self.now + self.plan.slow.write_timeout;
        if quorum < NEVER && heard && quorum + answer < limit {
            self.queue.push(quorum + answer, Event::Thread(at, Job::StoreAck(message)));
        } else {
            self.queue.push(limit, Event::Thread(at, Job::StoreFail(message)));
        }
    }

    /// Handles the store's acknowledgement of a message.
    pub fn store_acked(&mut self, at: At, message: Msg) {
        match self.message(message).content {
            SimContent::Change(change) if change.inside && !self.makes(Mutation::AddUnread) => {
                self.read_back(at, message);
            }
            _ => self.then(at, ThreadStep::Judge(message)),
        }
    }

    /// Decides about a message once the acknowledgement is there: the clocks are read, and the
    /// message passes or not.
    pub fn check_ack(&mut self, at: At, message: Msg) {
        let WriteKnown { send_id, content, .. } = *self.message(message);
        let Some(send_id) = send_id else { return self.judge_unentered(at, message) };
        let publishes = self.publishes(message, &content);
        let time = if self.makes(Mutation::CachedTime) { self.began(at) } else { self.now };
        let node = &mut self.nodes[usize::from(at.life.node)];
        let worker = &mut node.workers[usize::from(at.thread - 1)];
        let now = node.clocks.now(time);
        let lease = node.view.lease();
        let judgement = worker.tracker.check_ack(send_id, now, lease, publishes.len() as u8);
        trace!(self, "{at:?} judges {message}: {judgement:?}");
        if judgement == AckDecision::Passed {
            self.pass_check(message);
            self.then(at, ThreadStep::Append(message));
            self.then(at, ThreadStep::Flush);
            self.then(at, self.last_step(message));
        } else {
            self.answer_unknown(message);
        }
    }

    /// The step that answers a message that passed.
    fn last_step(&self, message: Msg) -> ThreadStep {
        match self.message(message).content {
            SimContent::Change(change) if change.inside && !self.makes(Mutation::AnswerAtOnce) => {
                ThreadStep::AwaitPassing(message)
            }
            _ => ThreadStep::Reply(message),
        }
    }

    /// Handles that the store gave no answer in time.
    pub fn store_failed(&mut self, at: At, message: Msg) {
        if let Some(send_id) = self.message(message).send_id {
            self.worker(at).tracker.abandon(send_id);
        }
        self.answer_unknown(message);
    }

    /// The publishes of a message: channel, shard, keys.
    fn publishes(&self, message: Msg, content: &SimContent) -> SmallVec<[(u8, u8, SimKeys); 2]> {
        let keys = match *content {
            SimContent::Direct(users) => users,
            SimContent::Room(room) => [room; 2],
            SimContent::Change(change) => [change.room, change.user],
        };
        let [a, b] = keys.map(|key| self.bucket_of(key));
        let keys = keys.map(only);
        if self.goes_to_all(message) {
            smallvec![(ALL, self.shard_of(a), keys[0] | keys[1])]
        } else if a == b {
            smallvec![(a, self.shard_of(a), keys[0] | keys[1])]
        } else {
            smallvec![(a, self.shard_of(a), keys[0]), (b, self.shard_of(b), keys[1])]
        }
    }

    /// Whether a message goes out as one publish to all. The answer is always the same.
    fn goes_to_all(&self, message: Msg) -> bool {
        u32::from(message) * 389 % 1000 < self.plan.chances.to_all
    }

    /// Appends a message that passed to the shard connections, and delivers it to the sessions
    /// here, in one step.
    pub fn append(&mut self, at: At, message: Msg) {
        let WriteKnown { send_id, content, session, by_service, .. } = *self.message(message);
        let moment = self.moment(at.life);
        let mut keys = 0;
        for (channel, shard, part) in self.publishes(message, &content) {
            let what = What::Message(message);
            let cargo = SimCargo { what, channel, from: at.life, keys: part };
            self.worker(at).tracker.publish(usize::from(shard), cargo, send_id, moment);
            keys |= part;
        }
        if !matches!(content, SimContent::Change(_)) && !by_service {
            self.session(session).own |= one(message);
        }
        self.deliver(at, message, keys);
        self.dispatch(at.life, message, keys, 1 << (at.thread - 1));
    }

    /// Sends `sent` to the sender: from now on every recipient is owed the message.
    pub fn reply(&mut self, message: Msg) {
        let known = &mut self.history.messages[usize::from(message)];
        if !std::mem::replace(&mut known.answered, true) {
            let WriteKnown { session, content, by_service, .. } = *known;
            trace!(self, "sent {message}");
            self.history.acked |= one(message);
            if let SimContent::Change(_) = content {
                self.history.members.acked(message, self.now);
                self.answer_nothing(session);
                self.speak_behind(message);
            } else if by_service {
                self.answer_nothing(session);
            } else {
                self.hand(session, SimFrame::Sent(message));
            }
            self.judge_ack(message);
        }
    }

    pub(super) fn answer_unknown(&mut self, message: Msg) {
        let known = &mut self.history.messages[usize::from(message)];
        known.answered = true;
        let session = known.session;
        self.answer_nothing(session);
    }

    pub(super) fn answer_nothing(&mut self, session: Sid) {
        let Some(device) = self.listener(session) else { return };
        self.clients.devices[usize::from(device)].waiting = false;
    }

    /// The messages that a read finds: of a user's direct conversations, or of a room.
    pub fn found(&self, looks: &Looks) -> Messages {
        if looks.key >= USERS_MAX {
            return self.found_in_room(looks);
        }
        let mut partners = 0_u8;
        self.each_direct(looks, looks.since, |_, known, mine, other| {
            if known.stored.activity[mine].seen(&looks.activity) {
                partners |= 1 << other;
            }
        });
        let mut found = 0;
        self.each_direct(looks, looks.above, |message, known, _, other| {
            if partners & 1 << other != 0 && known.stored.row.seen(&looks.ranges) {
                found |= one(message);
            }
        });
        found
    }

    /// The new messages in a room, as its head shows.
    fn found_in_room(&self, looks: &Looks) -> Messages {
        let mut changed = looks.heads_known;
        self.each_of(looks, looks.since, |_, known| {
            changed |= known.stored.activity[0].seen(&looks.activity);
        });
        if changed { self.found_in_range(looks) } else { 0 }
    }

    /// The messages in a range of a room.
    pub fn found_in_range(&self, looks: &Looks) -> Messages {
        let mut found = 0;
        self.each_of(looks, looks.above, |message, known| {
            if known.stored.row.seen(&looks.ranges) {
                found |= one(message);
            }
        });
        found
    }

    /// The direct messages that a read may find, each with the user's index in it, and the other's.
    fn each_direct(
        &self,
        looks: &Looks,
        above: MessageId,
        mut act: impl FnMut(Msg, &WriteKnown, usize, u8),
    ) {
        self.each_of(looks, above, |message, known| {
            if let SimContent::Direct(users) = known.content {
                let mine = usize::from(users[1] == looks.key);
                act(message, known, mine, users[1 - mine]);
            }
        });
    }

    /// The messages that a read may find.
    pub(super) fn each_of(
        &self,
        looks: &Looks,
        above: MessageId,
        mut act: impl FnMut(Msg, &WriteKnown),
    ) {
        let mut rest = self.history.key_messages[usize::from(looks.key)];
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            let known = self.message(message);
            if known.id > above {
                act(message, known);
            }
        }
    }

    /// The first page of what a read finds, and the last id of it if there is more.
    pub fn first_page(&self, found: Messages) -> (Messages, Option<MessageId>) {
        let range = self.plan.bounds.range;
        if found.count_ones() <= range {
            return (found, None);
        }
        let mut messages: SmallVec<[(MessageId, Msg); 16]> = SmallVec::new();
        let mut rest = found;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            messages.push((self.message(message).id, message));
        }
        messages.sort_unstable();
        messages.truncate(range as usize);
        let page = messages.iter().fold(0, |page, (_, message)| page | one(*message));
        (page, messages.last().map(|(id, _)| *id))
    }

    /// The messages of a set whose ids are above a time.
    pub fn above(&self, time: u64, messages: Messages) -> Messages {
        let mut rest = messages;
        let mut above = 0;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            if self.message(message).id.time().0 > time {
                above |= one(message);
            }
        }
        above
    }

    /// Runs `act` for each message of a set.
    pub fn each_message(&mut self, messages: Messages, mut act: impl FnMut(&mut Self, Msg)) {
        let mut rest = messages;
        while rest != 0 {
            act(self, rest.trailing_zeros() as Msg);
            rest &= rest - 1;
        }
    }

    /// The messages of a resume that are too many: the oldest of each conversation.
    pub fn too_many(&self, found: Messages) -> Messages {
        let page = self.plan.bounds.page;
        if found.count_ones() <= page {
            return 0;
        }
        let mut gaps = 0;
        let mut rest = found;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            let known = self.message(message);
            let newer = (0..self.history.messages.len() as Msg).filter(|other| {
                let it = self.message(*other);
                let same = it.content.is_beside(&known.content);
                found & one(*other) != 0 && same && it.id > known.id
            });
            if newer.count() as u32 >= page {
                gaps |= one(message);
            }
        }
        gaps
    }
}
