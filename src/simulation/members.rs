//! Which user is in which room, as the oracle knows it: what is owed to each user, and who is
//! outside.

use super::change::Change;
use super::event::{Act, At, Dev, Event, Msg, ROOMS_MAX, Sid, SimKey, USERS_MAX};
use super::oracle::Broken;
use super::queue::{MILLI, Time};
use super::send::{SimContent, Want, Wish, WriteKnown};
use super::session::SimSession;
use super::store::{Messages, one};
use super::world::World;
use crate::domain::{MessageId, NEVER};

/// A change that was tried: it has an id, and may be in the store.
#[derive(Debug, Clone, Copy)]
struct Tried {
    message: Msg,
    stamp: MessageId,
    change: Change,
    passed: bool,
    acked: Option<Time>,
}

impl Tried {
    /// Whether it is an add that brought the user in above a leave. One that found the user inside
    /// did not bring them in: a leave beside it ends what was there before.
    fn is_add_above(&self, left: MessageId) -> bool {
        self.change.inside && self.change.written.added > left
    }
}

/// Stamps by user and room.
pub type Stamps = [[MessageId; ROOMS_MAX as usize]; USERS_MAX as usize];

/// What is known of the members of rooms.
#[derive(Debug, Default)]
pub struct Members {
    tried: Vec<Tried>,
    /// For each user and room, the id above which messages are owed.
    owed: [[Option<MessageId>; ROOMS_MAX as usize]; USERS_MAX as usize],
}

impl Members {
    /// The changes that were tried.
    pub fn tried(&self) -> impl Iterator<Item = Msg> {
        self.tried.iter().map(|tried| tried.message)
    }

    /// The id above which messages of a room are owed to a user, if any are.
    pub fn owed_above(&self, user: u8, room: SimKey) -> Option<MessageId> {
        self.owed[usize::from(user)][usize::from(room - USERS_MAX)]
    }

    /// Records that a change has an id.
    pub fn try_change(&mut self, message: Msg, stamp: MessageId, change: Change) {
        self.tried.push(Tried { message, stamp, change, passed: false, acked: None });
        self.weigh(change.user, change.room);
    }

    fn pass(&mut self, message: Msg) {
        let Some(it) = self.tried.iter_mut().find(|it| it.message == message) else { return };
        it.passed = true;
        let Change { user, room, .. } = it.change;
        self.weigh(user, room);
    }

    /// Records that a change was acknowledged.
    pub fn acked(&mut self, message: Msg, now: Time) {
        if let Some(it) = self.tried.iter_mut().find(|it| it.message == message) {
            it.acked = Some(now);
        }
    }

    fn of(&self, user: u8, room: SimKey) -> impl Iterator<Item = &Tried> {
        let of = move |it: &&Tried| (it.change.user, it.change.room) == (user, room);
        self.tried.iter().filter(of)
    }

    /// Computes what is owed. It begins with an add that passed, and ends with any later try to
    /// remove the user. Another add does not move it.
    fn weigh(&mut self, user: u8, room: SimKey) {
        let left = self.left(user, room);
        let passed = self.of(user, room).filter(|it| it.is_add_above(left));
        let begin = passed.filter(|it| it.passed).map(|it| it.stamp).min();
        self.owed[usize::from(user)][usize::from(room - USERS_MAX)] = begin;
    }

    fn left(&self, user: u8, room: SimKey) -> MessageId {
        let leaves = self.of(user, room).filter(|it| !it.change.inside);
        leaves.map(|it| it.stamp).max().unwrap_or(NEVER)
    }

    /// The id above which messages of a room are owed to a user after the answer of an add, if one
    /// was answered.
    fn answered(&self, user: u8, room: SimKey) -> Option<MessageId> {
        let left = self.left(user, room);
        let is_answered = |it: &Tried| it.is_add_above(left) && it.acked.is_some();
        self.of(user, room).any(is_answered).then(|| self.owed_above(user, room)).flatten()
    }

    /// Whether a worker that learned of a leave with that stamp may show a user a message. An add
    /// that ran at the same time as the leave counts as directly after it.
    fn may_have(&self, user: u8, room: SimKey, id: MessageId, left: MessageId) -> bool {
        let begin = |it: &Tried| {
            let state = it.change.state;
            if state.joined_after < left { left.min(it.stamp) } else { state.joined }
        };
        self.of(user, room).any(|it| it.is_add_above(left) && begin(it) < id)
    }

    /// The leaves of a user that a read sees which began then.
    fn left_before(&self, user: u8, begun: Time) -> impl Iterator<Item = (SimKey, MessageId)> {
        let seen = move |it: &&Tried| {
            let acked = it.acked.is_some_and(|acked| acked <= begun);
            it.change.user == user && !it.change.inside && acked
        };
        self.tried.iter().filter(seen).map(|it| (it.change.room, it.stamp))
    }
}

impl World {
    /// Records that a message passed the check.
    pub(super) fn pass_check(&mut self, message: Msg) {
        self.history.passed |= one(message);
        let SimContent::Change(change) = self.message(message).content else {
            return;
        };
        self.history.members.pass(message);
        for device in 0..self.clients.devices.len() as Dev {
            if self.clients.devices[usize::from(device)].user == change.user {
                self.judge_cursor(device);
            }
        }
    }

    /// Checks the id of a message: it is above all adds that are answered.
    pub(super) fn judge_issue(&mut self, message: Msg) {
        let WriteKnown { id, content, session, .. } = *self.message(message);
        let SimContent::Room(room) = content else { return };
        if !self.is_in_order() {
            return;
        }
        for user in 0..self.plan.size.users {
            if self.history.members.answered(user, room).is_some_and(|begin| id <= begin) {
                let device = self.clients.sessions[usize::from(session)].device;
                self.object(Broken::BehindAnswer, device, Some(message));
            }
        }
    }

    /// Checks the stamp of an add: it is above everything that was acknowledged before the add was
    /// requested.
    pub(super) fn judge_joining(&mut self, wish: u16) {
        let Wish { session, want, acked, .. } = self.clients.wishes[usize::from(wish)];
        let Some(WriteKnown { id, content: SimContent::Change(change), .. }) =
            self.history.messages.last()
        else {
            return;
        };
        let Want::Change { room, .. } = want else { return };
        let joins = change.inside && change.state.joined == *id;
        if joins && self.is_in_order() {
            let above = self.newer(*id, acked & self.history.key_messages[usize::from(room)]);
            if above != 0 {
                let device = self.clients.sessions[usize::from(session)].device;
                let message = above.trailing_zeros() as Msg;
                self.object(Broken::BeforeAdd, device, Some(message));
            }
        }
    }

    /// Whether the clocks are right enough for the order of ids after an answer to have a meaning.
    fn is_in_order(&self) -> bool {
        self.nodes.iter().all(|node| node.clocks.is_interval())
    }

    /// Handles the answer of an add: its caller may have a service send at once, through any node.
    pub(super) fn speak_behind(&mut self, message: Msg) {
        let SimContent::Change(change) = self.message(message).content else {
            return;
        };
        if !change.inside || self.controls.script.is_some() || !self.rng.chance(500) {
            return;
        }
        let device = self.rng.below(self.clients.devices.len() as u64) as Dev;
        let way = self.rng.below(3 * MILLI);
        let act = Act::Serve(change.room);
        self.queue.push(self.now + way, Event::Client(device, act));
    }

    /// The messages of a set that a user is owed.
    pub fn owed_to(&self, user: u8, among: Messages) -> Messages {
        let mut owed = among & self.history.key_messages[usize::from(user)];
        for room in (0..self.plan.size.rooms).map(|room| USERS_MAX + room) {
            let said = among & self.history.key_messages[usize::from(room)];
            if said != 0
                && let Some(begin) = self.history.members.owed_above(user, room)
            {
                owed |= self.newer(begin, said);
            }
        }
        owed
    }

    /// The messages of a set with larger ids.
    fn newer(&self, than: MessageId, messages: Messages) -> Messages {
        let mut rest = messages;
        let mut newer = 0;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            if self.message(message).id > than {
                newer |= one(message);
            }
        }
        newer
    }

    /// Records that a worker learned of a leave.
    pub(super) fn heard_leave(&mut self, at: At, user: u8, room: SimKey, stamp: MessageId) {
        let left = &mut self.worker(at).left[usize::from(user)][usize::from(room - USERS_MAX)];
        *left = stamp.max(*left);
    }

    /// Records that a worker read the memberships of a user: it knows everything acknowledged
    /// before `begun`.
    pub(super) fn knows_leaves(&mut self, at: At, user: u8, begun: Time) {
        let leaves: smallvec::SmallVec<[(SimKey, MessageId); 4]> =
            self.history.members.left_before(user, begun).collect();
        for (room, stamp) in leaves {
            self.heard_leave(at, user, room, stamp);
        }
    }

    /// Checks that a message delivered to a session is for the session's user.
    pub(super) fn judge_handed(&mut self, sid: Sid, message: Msg) {
        let known = self.message(message);
        let SimContent::Room(room) = known.content else { return };
        let id = known.id;
        let SimSession { user, at, device, .. } = self.clients.sessions[usize::from(sid)];
        let left = self.worker(at).left[usize::from(user)][usize::from(room - USERS_MAX)];
        if !self.history.members.may_have(user, room, id, left) {
            self.object(Broken::Outsider, device, Some(message));
        }
    }
}
