//! Who is in which room, as the referee knows it: what is owed to whom, and who is outside.

use super::change::Change;
use super::event::{At, Dev, Key, Msg, ROOMS_MAX, Sid, USERS_MAX};
use super::queue::Time;
use super::referee::Broken;
use super::send::Content;
use super::session::Session;
use super::store::{Messages, one};
use super::world::World;
use crate::domain::{MessageId, Micros};

/// Before all stamps.
pub const NO_STAMP: MessageId = MessageId::first_of(Micros(0));

/// A change that was tried: it has an id, and may be in the store.
#[derive(Debug, Clone, Copy)]
struct Tried {
    message: Msg,
    stamp: MessageId,
    change: Change,
    passed: bool,
    acked: Option<Time>,
}

/// Stamps by user and room.
pub type Stamps = [[MessageId; ROOMS_MAX as usize]; USERS_MAX as usize];

/// What was said of who is where.
#[derive(Debug, Default)]
pub struct Members {
    tried: Vec<Tried>,
    /// Above which id each user is owed what is said in each room.
    owed: [[Option<MessageId>; ROOMS_MAX as usize]; USERS_MAX as usize],
}

impl Members {
    /// The changes that were tried.
    pub fn tried(&self) -> impl Iterator<Item = Msg> {
        self.tried.iter().map(|tried| tried.message)
    }

    /// Above which id a user is owed what is said in a room, if he is.
    pub fn owed_above(&self, user: u8, room: Key) -> Option<MessageId> {
        self.owed[usize::from(user)][usize::from(room - USERS_MAX)]
    }

    /// A change has an id.
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

    /// A change was acknowledged.
    pub fn acked(&mut self, message: Msg, now: Time) {
        if let Some(it) = self.tried.iter_mut().find(|it| it.message == message) {
            it.acked = Some(now);
        }
    }

    fn of(&self, user: u8, room: Key) -> impl Iterator<Item = &Tried> {
        let of = move |it: &&Tried| (it.change.user, it.change.room) == (user, room);
        self.tried.iter().filter(of)
    }

    /// What is owed begins with a change that passed, and ends with any later try to leave. A try
    /// to join anew may move its begin.
    fn weigh(&mut self, user: u8, room: Key) {
        let leaves = self.of(user, room).filter(|it| !it.change.inside);
        let left = leaves.map(|it| it.stamp).max().unwrap_or(NO_STAMP);
        let since = |it: &&Tried| it.change.inside && it.stamp > left;
        let passed = self.of(user, room).filter(since).filter(|it| it.passed);
        let begin = passed.map(|it| it.stamp).min();
        let joined = self.of(user, room).filter(since).map(|it| it.change.joined).max();
        let owed = begin.map(|begin| joined.map_or(begin, |joined| begin.max(joined)));
        self.owed[usize::from(user)][usize::from(room - USERS_MAX)] = owed;
    }

    /// Whether somebody may be shown a message by a worker that heard of a leave of that stamp.
    fn may_have(&self, user: u8, room: Key, id: MessageId, left: MessageId) -> bool {
        self.of(user, room).any(|it| it.change.inside && it.stamp > left && it.change.joined < id)
    }

    /// The leaves of a user that a read begun then sees.
    fn left_before(&self, user: u8, begun: Time) -> impl Iterator<Item = (Key, MessageId)> {
        let seen = move |it: &&Tried| {
            let acked = it.acked.is_some_and(|acked| acked <= begun);
            it.change.user == user && !it.change.inside && acked
        };
        self.tried.iter().filter(seen).map(|it| (it.change.room, it.stamp))
    }
}

impl World {
    /// A message passed the check.
    pub(super) fn pass_check(&mut self, message: Msg) {
        self.passed |= one(message);
        let Content::Change(change) = self.messages[usize::from(message)].content else { return };
        self.members.pass(message);
        for device in 0..self.devices.len() as Dev {
            if self.devices[usize::from(device)].user == change.user {
                self.judge_cursor(device);
            }
        }
    }

    /// Those of some messages that a user is owed.
    pub fn owed_to(&self, user: u8, among: Messages) -> Messages {
        let mut owed = among & self.key_messages[usize::from(user)];
        for room in (0..self.plan.size.rooms).map(|room| USERS_MAX + room) {
            let said = among & self.key_messages[usize::from(room)];
            if said != 0
                && let Some(begin) = self.members.owed_above(user, room)
            {
                owed |= self.newer(begin, said);
            }
        }
        owed
    }

    /// Those of some messages whose ids are larger.
    fn newer(&self, than: MessageId, messages: Messages) -> Messages {
        let mut rest = messages;
        let mut newer = 0;
        while rest != 0 {
            let message = rest.trailing_zeros() as Msg;
            rest &= rest - 1;
            if self.messages[usize::from(message)].id > than {
                newer |= one(message);
            }
        }
        newer
    }

    /// A worker heard of a leave.
    pub(super) fn heard_leave(&mut self, at: At, user: u8, room: Key, stamp: MessageId) {
        let left = &mut self.worker(at).left[usize::from(user)][usize::from(room - USERS_MAX)];
        *left = stamp.max(*left);
    }

    /// A worker read the memberships of a user, from then on: it knows of what was acknowledged.
    pub(super) fn knows_leaves(&mut self, at: At, user: u8, begun: Time) {
        let leaves: smallvec::SmallVec<[(Key, MessageId); 4]> =
            self.members.left_before(user, begun).collect();
        for (room, stamp) in leaves {
            self.heard_leave(at, user, room, stamp);
        }
    }

    /// A session is handed a message: it must be his user's.
    pub(super) fn judge_handed(&mut self, sid: Sid, message: Msg) {
        let known = &self.messages[usize::from(message)];
        let Content::Room(room) = known.content else { return };
        let id = known.id;
        let Session { user, at, device, .. } = self.sessions[usize::from(sid)];
        let left = self.worker(at).left[usize::from(user)][usize::from(room - USERS_MAX)];
        if !self.members.may_have(user, room, id, left) {
            self.object(Broken::Outsider, device, Some(message));
        }
    }
}
