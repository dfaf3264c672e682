//! A worker's part of a round: it lists its sessions, reads for their users, and delivers to each
//! session the messages that it does not have.

use smallvec::SmallVec;

use super::agent::Told;
use super::event::{At, Event, Job, Sid, SimKey, SimKeys, only};
use super::mutations::Mutation;
use super::queue::Time;
use super::session::Phase;
use super::store::{Looks, Messages, Touch, one};
use super::world::World;
use crate::domain::Micros;
use crate::watermark::{PendingRoomRead, RoundKind};

/// A session of a round.
#[derive(Debug, Clone, Copy)]
struct Listed {
    sid: Sid,
    user: u8,
    /// The read begins above this.
    above: Micros,
    /// Whether its interest was confirmed when it was listed.
    confirmed: bool,
    /// How often it had missed live deliveries by then.
    missed: u16,
    /// The keys that must still be read for it.
    unread: SimKeys,
}

/// Among the keys that must be read, this one means the memberships of a session's user.
const MEMBERSHIPS: SimKeys = 1 << 15;

/// A room that a user joined, as a round lists it.
#[derive(Debug)]
struct ListedDue {
    user: u8,
    room: SimKey,
    due: PendingRoomRead,
    /// Whether its subscription was confirmed when it was listed.
    confirmed: bool,
    /// Whether it was read for.
    read: bool,
}

/// A read of a user's memberships.
#[derive(Debug)]
struct Asked {
    user: u8,
    touch: Touch,
    begun: Time,
}

/// A worker's part of the round under way.
#[derive(Debug, Default)]
pub struct Rounding {
    number: u64,
    listed: Vec<Listed>,
    asked: Vec<Asked>,
    dues: Vec<ListedDue>,
    reads: SmallVec<[Looks; 4]>,
    pending: u8,
}

impl World {
    fn rounding(&mut self, at: At) -> &mut Rounding {
        &mut self.worker(at).rounding
    }

    /// Begins a round. It reads for the sessions that are registered now, the memberships of their
    /// users first.
    pub fn begin_round(&mut self, at: At, number: u64) {
        let watermark = self.worker(at).watermark;
        let rounding = self.rounding(at);
        rounding.number = number;
        rounding.listed.clear();
        rounding.asked.clear();
        rounding.dues.clear();
        rounding.reads.clear();
        self.each_session(at, |world, sid| world.list(at, sid, watermark));
        if self.plan.size.rooms == 0 || self.makes(Mutation::RoundsForgetMemberships) {
            return self.read_round(at);
        }
        let mut users: SmallVec<[u8; 4]> = SmallVec::new();
        for listed in &mut self.rounding(at).listed {
            listed.unread |= MEMBERSHIPS;
            if !users.contains(&listed.user) {
                users.push(listed.user);
            }
        }
        self.rounding(at).pending = users.len() as u8;
        if users.is_empty() {
            return self.tell(at.life, Told::RoundPart(at.thread - 1, number));
        }
        for (index, user) in users.into_iter().enumerate() {
            let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
            let (begun, touch) = (self.now, self.draw_touch(self.now, end));
            let works = !self.rng.chance(self.plan.slow.reads_fail_in);
            self.rounding(at).asked.push(Asked { user, touch, begun });
            let job = Job::RoundMemberships(number as u16, index as u8, works);
            self.queue.push(end, Event::Thread(at, job));
        }
    }

    fn list(&mut self, at: At, sid: Sid, watermark: Micros) {
        let session = self.session(sid);
        if session.phase != Phase::Live {
            return;
        }
        let (user, missed) = (session.user, session.missed);
        let above = session.position.above(watermark);
        let confirmed = self.is_confirmed(at.life, user);
        let listed = Listed { sid, user, above, confirmed, missed, unread: only(user) };
        self.rounding(at).listed.push(listed);
    }

    /// Handles that the memberships of a user of a round were read.
    pub fn round_memberships(&mut self, at: At, number: u16, index: u8, works: bool) {
        let rounding = self.rounding(at);
        if rounding.number as u16 != number {
            return;
        }
        let Asked { user, touch, begun } = rounding.asked[usize::from(index)];
        if works {
            for listed in rounding.listed.iter_mut().filter(|listed| listed.user == user) {
                listed.unread &= !MEMBERSHIPS;
            }
            let rows = self.membership_rows(user, &touch);
            self.knows_leaves(at, user, begun);
            self.learn_all(at, user, &rows);
        }
        let rounding = self.rounding(at);
        rounding.pending -= 1;
        if rounding.pending == 0 {
            self.read_round(at);
        }
    }

    /// Begins the reads of a round: one for each user, and for each room one for all its members.
    fn read_round(&mut self, at: At) {
        let number = self.rounding(at).number;
        let mut keys: SmallVec<[(SimKey, Micros); 4]> = SmallVec::new();
        let mut add = |key: SimKey, above: Micros| match keys.iter_mut().find(|(it, _)| *it == key)
        {
            Some((_, least)) => *least = above.min(*least),
            None => keys.push((key, above)),
        };
        let mut listed = std::mem::take(&mut self.rounding(at).listed);
        for entry in &mut listed {
            add(entry.user, entry.above);
            for room in self.rooms_of(at, entry.user) {
                add(room, entry.above);
                entry.unread |= only(room);
                entry.confirmed &= self.is_confirmed(at.life, room);
            }
        }
        let dues = self.list_dues(at, &listed);
        dues.iter().for_each(|it| add(it.room, it.due.above));
        let rounding = self.rounding(at);
        (rounding.listed, rounding.dues, rounding.pending) = (listed, dues, keys.len() as u8);
        if keys.is_empty() {
            return self.tell(at.life, Told::RoundPart(at.thread - 1, number));
        }
        for (index, (key, above)) in keys.into_iter().enumerate() {
            let (looks, end, works) = self.draw_looks(key);
            self.rounding(at).reads.push(looks.above(above));
            let job = Job::RoundRead(number as u16, index as u8, works);
            self.queue.push(end, Event::Thread(at, job));
        }
    }

    /// The reads due for the users of a round.
    fn list_dues(&self, at: At, listed: &[Listed]) -> Vec<ListedDue> {
        let is_listed = |user: u8| listed.iter().any(|entry| entry.user == user);
        let dues = self.dues(at).into_iter().filter(|(user, ..)| is_listed(*user));
        let list = |(user, room, due)| {
            let confirmed = self.is_confirmed(at.life, room);
            ListedDue { user, room, due, confirmed, read: false }
        };
        dues.map(list).collect()
    }

    /// Handles the end of a read of a round.
    pub fn round_read(&mut self, at: At, number: u16, index: u8, works: bool) {
        let rounding = self.rounding(at);
        if rounding.number as u16 != number {
            return;
        }
        let looks = rounding.reads[usize::from(index)];
        if works {
            let (page, last) = self.first_page(self.found(&looks));
            self.hand_round(at, looks.key, page, last.is_none());
            if let Some(above) = last {
                return self.read_round_page(at, index, Looks { above, ..looks });
            }
        }
        let rounding = self.rounding(at);
        rounding.pending -= 1;
        if rounding.pending == 0 {
            let number = rounding.number;
            self.tell(at.life, Told::RoundPart(at.thread - 1, number));
        }
    }

    /// Issues the next page of a read to the store.
    fn read_round_page(&mut self, at: At, index: u8, looks: Looks) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let ranges = self.draw_touch(self.now, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        let rounding = self.rounding(at);
        rounding.reads[usize::from(index)] = Looks { ranges, ..looks };
        let job = Job::RoundRead(rounding.number as u16, index, works);
        self.queue.push(end, Event::Thread(at, job));
    }

    fn hand_round(&mut self, at: At, key: SimKey, found: Messages, is_last: bool) {
        let mut listed = std::mem::take(&mut self.rounding(at).listed);
        for entry in listed.iter_mut().filter(|entry| entry.unread & only(key) != 0) {
            if is_last {
                entry.unread &= !only(key);
            }
            let session = self.session(entry.sid);
            let (phase, buffering) = (session.phase, session.is_buffering());
            if phase != Phase::Live || session.missed != entry.missed {
                continue;
            }
            let owed = self.above(entry.above.0, found);
            self.each_message(owed, |world, message| {
                if world.had(at, entry.sid, message) {
                    return;
                }
                if buffering {
                    world.session(entry.sid).put_aside(one(message));
                } else {
                    world.deliver_own(entry.sid, message);
                }
            });
        }
        self.rounding(at).listed = listed;
        self.hand_dues(at, key, found, is_last);
    }

    /// Offers what was found in a room to users who joined it, over any session that was there when
    /// the round began.
    fn hand_dues(&mut self, at: At, room: SimKey, found: Messages, is_last: bool) {
        let mut dues = std::mem::take(&mut self.rounding(at).dues);
        for listed in dues.iter_mut().filter(|listed| listed.room == room) {
            listed.read |= is_last;
            let owed = self.above(listed.due.above.0, found);
            self.offer_to_all(at, listed.user, owed);
        }
        self.rounding(at).dues = dues;
    }

    /// Ends a round: the sessions that were read for have everything that it covers.
    pub fn end_round(
        &mut self,
        at: At,
        number: u64,
        proof: (RoundKind, Option<Micros>),
        watermark: Micros,
    ) {
        let it = self.worker(at);
        let before = it.watermark;
        it.watermark = before.max(watermark);
        let after = it.watermark;
        it.recent.prune(after);
        if it.rounding.number != number {
            return;
        }
        let listed = std::mem::take(&mut it.rounding.listed);
        let dues = std::mem::take(&mut it.rounding.dues);
        for ListedDue { user, due, confirmed, .. } in dues.into_iter().filter(|it| it.read) {
            if let Some(it) = self.user_rooms(at, user) {
                it.user_rooms.round(&due, proof.0, proof.1, confirmed);
            }
        }
        for entry in &listed {
            self.end_for(entry, proof, (before, after));
        }
    }

    fn end_for(
        &mut self,
        entry: &Listed,
        (kind, decided): (RoundKind, Option<Micros>),
        (before, after): (Micros, Micros),
    ) {
        let session = self.session(entry.sid);
        if session.phase != Phase::Live || session.missed != entry.missed {
            return;
        }
        if entry.unread != 0 {
            return session.position.skipped(before);
        }
        let cursor = session.position.round(kind, decided, entry.confirmed, after);
        if session.may_be_told()
            && let Some(cursor) = cursor
        {
            self.send_cursor(entry.sid, cursor);
        }
    }
}
