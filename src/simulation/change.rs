//! A change of a membership: the member's state is read, and then it is a send without a body. An
//! add reads the rows again after its write. It is answered once everything that is issued later is
//! above its stamp.

use super::event::{At, Event, Job, Msg, Sid, SimKey, USERS_MAX, only};
use super::mutations::Mutation;
use super::queue::{SECOND, Time};
use super::send::{SimContent, Want, Wish, WriteKnown};
use super::store::{Looks, NEVER as NEVER_STORED, Stored, Touch, one};
use super::thread::ThreadStep;
use super::world::World;
use crate::domain::{Adder, MemberRole, MemberState, Membership, MessageId, Micros, NEVER};
use crate::watermark::ACK_LIMIT;

/// How long an answer waits for the clock at most: see the product's.
const PASSING_MAX: Time = crate::clock::PASSING_MAX.as_micros() as Time;

/// A change. Its stamp is the id of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The user.
    pub user: u8,
    /// The room's key.
    pub room: SimKey,
    /// Whether it is an add.
    pub inside: bool,
    /// The stamp by which an add makes the user join; none for a removal.
    pub own: MessageId,
    /// What is written.
    pub written: MemberState,
    /// What is announced.
    pub state: MemberState,
}

/// A write of a membership that has no message of its own.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite {
    user: u8,
    room: SimKey,
    state: MemberState,
    stored: Stored,
}

/// The reads of a change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touches {
    /// The room's side of the membership.
    of_room: Touch,
    /// The user's side.
    of_user: Touch,
    /// The head of the room.
    head: Touch,
}

impl World {
    /// Makes some users members of rooms from the beginning.
    pub(super) fn settle_in(&mut self) {
        for room in (0..self.plan.size.rooms).map(|room| USERS_MAX + room) {
            for user in 0..self.plan.size.users {
                if self.plan.insiders[usize::from(room - USERS_MAX)] & 1 << user != 0 {
                    self.put_inside(user, room);
                }
            }
        }
    }

    fn put_inside(&mut self, user: u8, room: SimKey) {
        let message = self.history.messages.len() as Msg;
        let long_ago = Micros(super::clocks::EPOCH - SECOND);
        let id = MessageId::new(long_ago, u64::from(message));
        let state = MemberState::UNKNOWN.add(MemberRole::Member, id);
        let change = Change { user, room, inside: true, own: id, written: state, state };
        self.history.messages.push(WriteKnown {
            id,
            content: SimContent::Change(change),
            session: Sid::MAX,
            by_service: false,
            stored: Stored::EVERYWHERE,
            send_id: None,
            answered: true,
        });
        self.file(message);
        self.pass_check(message);
        self.history.acked |= one(message);
        self.history.members.acked(message, 0);
    }

    /// Begins a change with a read of the member's state.
    pub(super) fn begin_change(&mut self, at: At, index: u16) {
        self.clients.wishes[usize::from(index)].acked = self.history.acked;
        self.read_member(at, index);
    }

    fn read_member(&mut self, at: At, index: u16) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let touches = self.draw_touches(end);
        self.clients.wishes[usize::from(index)].touches = touches;
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        self.queue.push(end, Event::Thread(at, Job::Member(index, works)));
    }

    fn draw_touches(&mut self, end: Time) -> Touches {
        let now = self.now;
        let of_room = self.draw_touch(now, end);
        let of_user = self.draw_touch(now, end);
        Touches { of_room, of_user, head: self.draw_touch(now, end) }
    }

    /// Draws the touch of a read between two times.
    pub(super) fn draw_touch(&mut self, begin: u64, end: u64) -> Touch {
        let touch = Touch::draw(&mut self.rng, begin, end);
        let unread = self.controls.script.as_ref().and_then(|script| script.unread);
        unread.map_or(touch, |replica| touch.without(replica))
    }

    /// Handles that the member's state was read. The change is stamped above it, and an add above
    /// the newest message of the room.
    pub fn member_read(&mut self, at: At, index: u16, works: bool) {
        let Wish { session, want, after, touches, confirmed, .. } =
            self.clients.wishes[usize::from(index)];
        let Want::Change { user, room, inside } = want else { return };
        if !works || !self.may_send(at, session) {
            return self.answer_nothing(session);
        }
        let known = self.member_state(user, room, &touches);
        let comes_back = inside && !known.is_inside() && known.removed != confirmed;
        if comes_back && !self.makes(Mutation::RemovalUnconfirmed) {
            return self.confirm_removal(at, index, known.removed);
        }
        let head = if inside { self.head_of(room, &touches.head) } else { NEVER };
        let above = known.stamp().max(head).time();
        if !self.adopts(at, above) {
            return self.answer_nothing(session);
        }
        self.issue(at, (session, false), after, |stamp| {
            let own = if known.is_inside() { known.joined() } else { stamp };
            let (state, written) = if inside {
                let state = known.add(MemberRole::Member, stamp);
                (state, state)
            } else {
                (known.remove(stamp), MemberState::removal(stamp))
            };
            SimContent::Change(Change { user, room, inside, own, written, state })
        });
        self.judge_joining(index);
    }

    /// Writes the removal that an add follows once more; the row is then read again.
    fn confirm_removal(&mut self, at: At, index: u16, removed: MessageId) {
        let Wish { session, want, .. } = self.clients.wishes[usize::from(index)];
        let Want::Change { user, room, .. } = want else { return };
        let stored = self.rewrite(user, room, MemberState::removal(removed));
        let quorum = stored.quorum();
        if quorum == NEVER_STORED || quorum > self.now + self.plan.slow.write_timeout {
            return self.answer_nothing(session);
        }
        self.clients.wishes[usize::from(index)].confirmed = removed;
        self.queue.push(quorum + 1, Event::Thread(at, Job::MemberAgain(index)));
    }

    /// Reads the member's state again, after the removal was written.
    pub fn read_member_again(&mut self, at: At, index: u16) {
        self.read_member(at, index);
    }

    fn rewrite(&mut self, user: u8, room: SimKey, state: MemberState) -> Stored {
        let writing = self.plan.slow.messages;
        let stored = Stored::draw_two(&writing, &mut self.rng, self.now);
        self.clients.rewrites.push(Rewrite { user, room, state, stored });
        stored
    }

    /// Shows a node's clock a time that it must issue above; false if that is not believed.
    fn adopts(&mut self, at: At, time: Micros) -> bool {
        let now = self.now;
        let node = &mut self.nodes[usize::from(at.life.node)];
        let wall = node.clocks.wall(now);
        node.ids.observe(time, super::send::most_of_an_id(&node.clocks, now));
        node.ids.read(wall) >= time
    }

    /// The newest message of a room, as a read sees it.
    fn head_of(&self, room: SimKey, touch: &Touch) -> MessageId {
        if self.makes(Mutation::HeadUnread) {
            return NEVER;
        }
        let mut newest = NEVER;
        let looks = Looks::of(room, *touch);
        self.each_of(&looks, NEVER, |_, known| {
            if known.stored.activity[0].seen(touch) {
                newest = newest.max(known.id);
            }
        });
        newest
    }

    /// The state that a read of both sides of a membership sees.
    fn member_state(&self, user: u8, room: SimKey, touches: &Touches) -> MemberState {
        let mut state = MemberState::UNKNOWN;
        self.each_write(user, |written_room, written, stored| {
            let (of_room, of_user) = (&stored.row, &stored.activity[0]);
            if written_room == room
                && (of_room.seen(&touches.of_room) || of_user.seen(&touches.of_user))
            {
                state = self.merged(state, *written);
            }
        });
        state
    }

    /// The rows of a user's memberships, as a read sees them.
    pub fn membership_rows(&self, user: u8, touch: &Touch) -> Vec<(SimKey, MemberState)> {
        let mut rows: Vec<(SimKey, MemberState)> = Vec::new();
        self.each_write(user, |room, written, stored| {
            if !stored.activity[0].seen(touch) {
                return;
            }
            match rows.iter_mut().find(|(known, _)| *known == room) {
                Some((_, state)) => *state = self.merged(*state, *written),
                None => rows.push((room, *written)),
            }
        });
        rows
    }

    /// How the store merges two writes.
    fn merged(&self, one: MemberState, other: MemberState) -> MemberState {
        let merged = one.merge(other);
        if !self.makes(Mutation::LastJoining) {
            return merged;
        }
        // One cell holds all: the last joining stays.
        let last = if other.joined > one.joined { other } else { one };
        MemberState { joined: last.joined, joined_after: last.joined_after, ..merged }
    }

    /// All writes of a user's memberships that were tried.
    fn each_write(&self, user: u8, mut act: impl FnMut(SimKey, &MemberState, &Stored)) {
        for message in self.history.members.tried() {
            let WriteKnown { content, stored, .. } = self.message(message);
            if let SimContent::Change(change) = content
                && change.user == user
            {
                act(change.room, &change.written, stored);
            }
        }
        for rewrite in self.clients.rewrites.iter().filter(|rewrite| rewrite.user == user) {
            act(rewrite.room, &rewrite.state, &rewrite.stored);
        }
    }

    /// Reads the rows of an add again, which is stored.
    pub(super) fn read_back(&mut self, at: At, message: Msg) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let touches = self.draw_touches(end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        self.clients.reads_back.push((message, touches));
        let read = self.clients.reads_back.len() as u16 - 1;
        self.queue.push(end, Event::Thread(at, Job::ReadBack(read, works)));
    }

    /// If it follows a removal that it had not seen, its joining is written as one that does.
    pub fn was_read_back(&mut self, at: At, read: u16, works: bool) {
        let (message, touches) = self.clients.reads_back[usize::from(read)];
        let SimContent::Change(change) = self.message(message).content else {
            return;
        };
        if !works {
            return self.store_failed(at, message);
        }
        let Change { user, room, own, .. } = change;
        let state = change.state.merge(self.member_state(user, room, &touches));
        let joining = state.joining_behind_removal(own, Adder::SERVICE);
        let state = joining.map_or(state, |joining| state.merge(joining));
        self.history.messages[usize::from(message)].content =
            SimContent::Change(Change { state, ..change });
        let Some(joining) = joining else { return self.then(at, ThreadStep::Judge(message)) };
        let stored = self.rewrite(user, room, joining);
        let quorum = stored.quorum();
        if quorum == NEVER_STORED || quorum > self.now + self.plan.slow.write_timeout {
            return self.store_failed(at, message);
        }
        self.queue.push(quorum + 1, Event::Thread(at, Job::StoreAck(message)));
    }

    /// Handles that an add is announced. It is answered once the lower end of the clock has passed
    /// its stamp.
    pub(super) fn await_passing(&mut self, at: At, message: Msg) {
        let until = self.now + PASSING_MAX;
        self.queue.push(self.now, Event::Thread(at, Job::Passing(message, until)));
    }

    /// Checks whether it has.
    pub fn look_at_passing(&mut self, at: At, message: Msg, until: Time) {
        let node = &self.nodes[usize::from(at.life.node)];
        let stamp = self.message(message).id.time();
        let left = stamp.since(node.clocks.lower(self.now));
        if node.faults.refused || self.now > until {
            return self.answer_unknown(message);
        }
        if left.is_zero() {
            return self.reply(message);
        }
        let again = self.now + (left.as_micros() as Time).min(SECOND);
        self.queue.push(again, Event::Thread(at, Job::Passing(message, until)));
    }

    /// Decides about a change that was never entered, by its age alone.
    pub(super) fn judge_unentered(&mut self, at: At, message: Msg) {
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        if wall.since(self.message(message).id.time()) > ACK_LIMIT {
            return self.answer_unknown(message);
        }
        self.pass_check(message);
        self.then(at, ThreadStep::Append(message));
        self.then(at, ThreadStep::Flush);
        self.then(at, ThreadStep::Reply(message));
    }

    /// A membership in the form of the product.
    pub fn membership(&self, room: SimKey, state: MemberState) -> Membership {
        let room = self.names.rooms[usize::from(room - USERS_MAX)].clone();
        Membership { room, user: self.names.anybody.clone(), state }
    }

    /// Adds a message that has an id to those of its keys.
    pub(super) fn file(&mut self, message: Msg) {
        let keys = match self.message(message).content {
            SimContent::Direct([a, b]) => only(a) | only(b),
            SimContent::Room(room) => only(room),
            SimContent::Change(change) => {
                let id = self.message(message).id;
                return self.history.members.try_change(message, id, change);
            }
        };
        for key in super::event::each_key(keys) {
            self.history.key_messages[usize::from(key)] |= one(message);
        }
    }
}
