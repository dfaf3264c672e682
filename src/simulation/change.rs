//! A change of a membership: where the member stands is read, and then it is a send without a body.

use super::event::{At, Event, Job, Key, Msg, Sid, USERS_MAX, only};
use super::send::{Content, Known, Want, Wish};
use super::store::{Stored, Touch};
use super::thread::Step;
use super::world::World;
use crate::domain::{Membership, MessageId, Micros, Role};
use crate::proof::ACK_LIMIT;

/// Where a user stands with a room. Its stamp is the id of the message that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub user: u8,
    /// The room's key.
    pub room: Key,
    /// Whether he is in it.
    pub inside: bool,
    /// When he joined last.
    pub joined: MessageId,
}

impl World {
    /// Some are in rooms from the beginning.
    pub(super) fn settle_in(&mut self) {
        for room in (0..self.plan.size.rooms).map(|room| USERS_MAX + room) {
            for user in 0..self.plan.size.users {
                if self.plan.insiders[usize::from(room - USERS_MAX)] & 1 << user != 0 {
                    self.put_inside(user, room);
                }
            }
        }
    }

    fn put_inside(&mut self, user: u8, room: Key) {
        let message = self.messages.len() as Msg;
        let long_ago = Micros(super::clocks::EPOCH - super::queue::SECOND);
        let id = MessageId::new(long_ago, u64::from(message));
        let change = Change { user, room, inside: true, joined: id };
        self.messages.push(Known {
            id,
            content: Content::Change(change),
            session: Sid::MAX,
            stored: Stored::EVERYWHERE,
            ticket: None,
            answered: true,
        });
        self.file(message);
        self.pass_check(message);
        self.acked |= super::store::one(message);
        self.members.acked(message, 0);
    }

    /// A change begins with a read of where the member stands.
    pub(super) fn read_member(&mut self, at: At, index: u16) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        self.wishes[usize::from(index)].touch = self.draw_touch(self.now, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        self.queue.push(end, Event::Thread(at, Job::Member(index, works)));
    }

    /// A read's touch between two times.
    pub(super) fn draw_touch(&mut self, begin: u64, end: u64) -> Touch {
        let touch = Touch::draw(&mut self.rng, begin, end);
        let unread = self.script.as_ref().and_then(|script| script.unread);
        unread.map_or(touch, |replica| touch.without(replica))
    }

    /// Where a member stands was read: the change is stamped above that.
    pub fn member_read(&mut self, at: At, index: u16, works: bool) {
        let Wish { session, want, after, touch } = self.wishes[usize::from(index)];
        let Want::Change { user, room, inside } = want else { return };
        if !works || !self.may_send(at, session) {
            return self.answer_nothing(session);
        }
        let row = self.member_row(user, room, &touch);
        let after = row.map_or(after, |(stamp, _)| after.max(stamp.time()));
        self.issue(at, session, after, |stamp| {
            // Who is in stays in since he joined, whoever says it again.
            let stays = row.filter(|(_, row)| row.inside || !inside);
            let joined = stays.map_or(stamp, |(_, row)| row.joined);
            Content::Change(Change { user, room, inside, joined })
        });
    }

    /// The row of a member on the room's side, as a read sees it.
    fn member_row(&self, user: u8, room: Key, touch: &Touch) -> Option<(MessageId, Change)> {
        let of = |(_, change): &(MessageId, Change)| (change.user, change.room) == (user, room);
        let seen = self.tried_changes().filter(|(_, stored, _)| stored.row.seen(touch));
        seen.map(|(id, _, change)| (id, change)).filter(of).max_by_key(|(stamp, _)| *stamp)
    }

    /// The rows of a user's memberships, as a read sees them.
    pub fn membership_rows(&self, user: u8, touch: &Touch) -> Vec<(MessageId, Change)> {
        let mut rows: Vec<(MessageId, Change)> = Vec::new();
        let of_user = self.tried_changes().filter(|(.., change)| change.user == user);
        for (stamp, _, change) in of_user.filter(|(_, stored, _)| stored.activity[0].seen(touch)) {
            match rows.iter_mut().find(|(_, row)| row.room == change.room) {
                Some(row) if row.0 < stamp => *row = (stamp, change),
                Some(_) => {}
                None => rows.push((stamp, change)),
            }
        }
        rows
    }

    /// All changes that anybody tried.
    fn tried_changes(&self) -> impl Iterator<Item = (MessageId, &Stored, Change)> {
        self.members.tried().map(|message| {
            let Known { id, content, stored, .. } = &self.messages[usize::from(message)];
            match content {
                Content::Change(change) => (*id, stored, *change),
                _ => unreachable!("only changes are filed as such"),
            }
        })
    }

    /// A change that was never entered is judged by its age alone.
    pub(super) fn judge_unentered(&mut self, at: At, message: Msg) {
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        if wall.since(self.messages[usize::from(message)].id.time()) > ACK_LIMIT {
            return self.answer_unknown(message);
        }
        self.pass_check(message);
        self.then(at, Step::Append(message));
        self.then(at, Step::Flush);
        self.then(at, Step::Reply(message));
    }

    /// A change as the product says it.
    pub fn membership(&self, stamp: MessageId, change: &Change) -> Membership {
        Membership {
            room: self.rooms[usize::from(change.room - USERS_MAX)].clone(),
            user: self.anybody.clone(),
            inside: change.inside,
            role: Role::Member,
            joined: change.joined,
            stamp,
        }
    }

    /// Notes a message that has an id among those of its keys.
    pub(super) fn file(&mut self, message: Msg) {
        let keys = match self.messages[usize::from(message)].content {
            Content::Direct([a, b]) => only(a) | only(b),
            Content::Room(room) => only(room),
            Content::Change(change) => {
                let id = self.messages[usize::from(message)].id;
                return self.members.try_change(message, id, change);
            }
        };
        for key in super::event::each_key(keys) {
            self.key_messages[usize::from(key)] |= super::store::one(message);
        }
    }
}
