//! A send: id and entry, the store, the check, the links, `sent`.

use super::event::{ALL, At, Cargo, Event, Job, Msg, Sid, What};
use super::queue::Time;
use super::session::{Frame, Phase};
use super::slip::Slip;
use super::store::{Looks, Messages, NEVER, Stored, one};
use super::thread::Step;
use super::world::World;
use crate::domain::{MessageId, Micros};
use crate::proof::{Judgement, Ticket};

/// Messages of a schedule at most: a set of them is a word.
pub const MESSAGES_MAX: usize = 64;

/// What a client wants to send.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Over which session.
    pub session: Sid,
    /// To whom.
    pub to: u8,
    /// The newest id that it has seen.
    pub after: Micros,
}

/// A message, as the world knows it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its id.
    pub id: MessageId,
    /// Sender and recipient.
    pub users: [u8; 2],
    /// The session that sent it.
    pub session: Sid,
    /// What the store has of it.
    pub stored: Stored,
    ticket: Option<Ticket>,
    answered: bool,
}

impl World {
    /// A client's send arrives at its session.
    pub fn send(&mut self, at: At, index: u16) {
        let wish = self.wishes[usize::from(index)];
        let node = &mut self.nodes[usize::from(at.life.node)];
        let moment = node.clocks.moment(self.now);
        let wall = node.clocks.wall(self.now);
        let worker = &mut node.workers[usize::from(at.thread - 1)];
        let may = node
            .view
            .lease()
            .is_some_and(|lease| lease.tenure == worker.desk.tenure() && moment < lease.until);
        let session = &self.sessions[usize::from(wish.session)];
        let is_open = session.phase == Phase::Live && !node.refused && !node.draining;
        if !may || !is_open || !worker.desk.has_room() || self.messages.len() == MESSAGES_MAX {
            return self.answer_nothing(wish.session);
        }
        node.ids.observe(wish.after, wall);
        let id = node.ids.issue(wall);
        let user = session.user;
        let message = self.messages.len() as Msg;
        self.user_messages[usize::from(user)] |= one(message);
        self.user_messages[usize::from(wish.to)] |= one(message);
        let late = self.slip == Some(Slip::LateEntry);
        let ticket = (!late).then(|| worker.desk.enter(id, moment));
        self.messages.push(Known {
            id: MessageId::new(id, u64::from(message)),
            users: [user, wish.to],
            session: wish.session,
            stored: Stored::NOWHERE,
            ticket,
            answered: false,
        });
        trace!(self, "{at:?} issues {message} {id} of {user} to {}", wish.to);
        if late {
            let delay = self.rng.below(super::queue::SECOND);
            return self.queue.push(self.now + delay, Event::Thread(at, Job::Enter(message)));
        }
        self.then(at, Step::Write(message));
    }

    /// A message is entered long after its id was issued, as must never be.
    pub fn enter_late(&mut self, at: At, message: Msg) {
        let (time, moment) = (self.messages[usize::from(message)].id.time(), self.moment(at.life));
        let ticket = self.worker(at).desk.enter(time, moment);
        self.messages[usize::from(message)].ticket = Some(ticket);
        self.then(at, Step::Write(message));
    }

    /// An entered message goes to the store.
    pub fn write_message(&mut self, at: At, message: Msg) {
        let writing = self.plan.slow.messages;
        let mut stored = Stored::draw(&writing, &mut self.rng, self.now);
        let mut heard = !self.rng.chance(writing.unheard_in);
        if let Some(fate) = self.message_fate(at.life) {
            (stored, heard) = fate;
        }
        self.messages[usize::from(message)].stored = stored;
        let quorum = stored.quorum();
        let answer: Time = 1 + self.rng.below(1000);
        let limit = self.now + self.plan.slow.write_timeout;
        if quorum < NEVER && heard && quorum + answer < limit {
            self.queue.push(quorum + answer, Event::Thread(at, Job::StoreAck(message)));
        } else {
            self.queue.push(limit, Event::Thread(at, Job::StoreFail(message)));
        }
    }

    /// The store acknowledged a message.
    pub fn store_acked(&mut self, at: At, message: Msg) {
        self.then(at, Step::Judge(message));
    }

    /// The acknowledgement is in hand: the clocks are read, and the message passes or not.
    pub fn judge(&mut self, at: At, message: Msg) {
        let Known { ticket, users, .. } = self.messages[usize::from(message)];
        let Some(ticket) = ticket else { return };
        let publishes = self.publishes(message, users);
        let time = if self.slip == Some(Slip::CachedTime) { self.began(at) } else { self.now };
        let node = &mut self.nodes[usize::from(at.life.node)];
        let worker = &mut node.workers[usize::from(at.thread - 1)];
        let now = node.clocks.now(time);
        let lease = node.view.lease();
        let judgement = worker.desk.judge(ticket, now, lease, publishes.len() as u8);
        trace!(self, "{at:?} judges {message}: {judgement:?}");
        if judgement == Judgement::Passed {
            self.passed |= one(message);
            self.then(at, Step::Append(message));
            self.then(at, Step::Flush);
            self.then(at, Step::Reply(message));
        } else {
            self.answer_unknown(message);
        }
    }

    /// The store gave no answer in time.
    pub fn store_failed(&mut self, at: At, message: Msg) {
        if let Some(ticket) = self.messages[usize::from(message)].ticket {
            self.worker(at).desk.abandon(ticket);
        }
        self.answer_unknown(message);
    }

    /// The publishes of a message: channel, shard, keys.
    fn publishes(&self, message: Msg, users: [u8; 2]) -> smallvec::SmallVec<[(u8, u8, u8); 2]> {
        let [a, b] = users.map(|user| self.bucket_of(user));
        let keys = users.map(|user| 1 << user);
        if self.goes_to_all(message) {
            smallvec::smallvec![(ALL, self.shard_of(a), keys[0] | keys[1])]
        } else if a == b {
            smallvec::smallvec![(a, self.shard_of(a), keys[0] | keys[1])]
        } else {
            smallvec::smallvec![(a, self.shard_of(a), keys[0]), (b, self.shard_of(b), keys[1])]
        }
    }

    /// Whether a message goes out as one publish to all: the same whenever it is asked.
    fn goes_to_all(&self, message: Msg) -> bool {
        u32::from(message) * 389 % 1000 < self.plan.to_all_in
    }

    /// What passed is appended to the links, and handed to the sessions here, in one step.
    pub fn append(&mut self, at: At, message: Msg) {
        let Known { ticket, users, session, .. } = self.messages[usize::from(message)];
        let moment = self.moment(at.life);
        let mut keys = 0;
        for (channel, shard, part) in self.publishes(message, users) {
            let what = What::Message(message);
            let cargo = Cargo { what, channel, from: at.life, keys: part };
            self.worker(at).desk.publish(usize::from(shard), cargo, ticket, moment);
            keys |= part;
        }
        self.session(session).own |= one(message);
        self.deliver(at, message, keys);
        self.dispatch(at.life, message, keys, 1 << (at.thread - 1));
    }

    /// `sent` goes to the sender: from now on everybody is owed the message.
    pub fn reply(&mut self, message: Msg) {
        let known = &mut self.messages[usize::from(message)];
        if !std::mem::replace(&mut known.answered, true) {
            let session = known.session;
            trace!(self, "sent {message}");
            self.acked |= one(message);
            self.hand(session, Frame::Sent(message));
            self.judge_ack(message);
        }
    }

    fn answer_unknown(&mut self, message: Msg) {
        let known = &mut self.messages[usize::from(message)];
        known.answered = true;
        let session = known.session;
        self.answer_nothing(session);
    }

    fn answer_nothing(&mut self, session: Sid) {
        let Some(device) = self.listener(session) else { return };
        self.devices[usize::from(device)].waiting = false;
    }

    /// The messages that a read finds.
    pub fn found(&self, looks: &Looks) -> Messages {
        let mut partners = 0_u8;
        self.each_of(looks, |_, known, mine| {
            if known.stored.activity[mine].seen(&looks.activity) {
                partners |= 1 << known.users[1 - mine];
            }
        });
        let mut found = 0;
        self.each_of(looks, |message, known, mine| {
            if partners & 1 << known.users[1 - mine] != 0 && known.stored.row.seen(&looks.ranges) {
                found |= one(message);
            }
        });
        found
    }

    /// The messages that a read may find, each with the user's place in it.
    fn each_of(&self, looks: &Looks, mut act: impl FnMut(Msg, &Known, usize)) {
        let mut rest = self.user_messages[usize::from(looks.user)];
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            let known = &self.messages[usize::from(message)];
            if known.id.time().0 > looks.above {
                act(message, known, usize::from(known.users[1] == looks.user));
            }
        }
    }

    /// Those of some messages whose ids lie above a time.
    pub fn above(&self, time: u64, messages: Messages) -> Messages {
        let mut rest = messages;
        let mut above = 0;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            if self.messages[usize::from(message)].id.time().0 > time {
                above |= one(message);
            }
        }
        above
    }

    /// Does something for each of some messages.
    pub fn each_message(&mut self, messages: Messages, mut act: impl FnMut(&mut Self, Msg)) {
        let mut rest = messages;
        while rest != 0 {
            act(self, rest.trailing_zeros() as Msg);
            rest &= rest - 1;
        }
    }

    /// Those of a resume's messages that are too many: the oldest of each conversation.
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
            let known = &self.messages[usize::from(message)];
            let newer = (0..self.messages.len() as Msg).filter(|other| {
                let it = &self.messages[usize::from(*other)];
                let same = it.users == known.users || it.users == [known.users[1], known.users[0]];
                found & one(*other) != 0 && same && it.id > known.id
            });
            if newer.count() as u32 >= page {
                gaps |= one(message);
            }
        }
        gaps
    }
}
