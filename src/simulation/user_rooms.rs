//! A user's rooms, as a worker knows them: notices and reads of memberships, and interest in the
//! rooms. Also the reads for rooms that the user joined while having sessions.

use super::change::Change;
use super::event::{At, Event, Job, Life, Msg, Sid, SimKey, USERS_MAX};
use super::mutations::Mutation;
use super::queue::{SECOND, Time};
use super::send::SimContent;
use super::session::{Phase, SimSession};
use super::store::{Looks, Messages, Touch, one};
use super::thread::ThreadStep;
use super::world::World;
use crate::cluster::Safeguards;
use crate::domain::{MemberState, MessageId, RoomId};
use crate::interest::{SubscriptionState, WaiterId};
use crate::watermark::{
    CatchUpRead, DeliverySeq, KnowledgeSource, PendingRoomRead, RoomState, UserRooms,
};

/// How long the interest of a joined room is waited for.
const JOIN_WAIT: Time = SECOND;

/// Distinguishes a wait for a room from a session's wait for its user's key.
const FOR_ROOM: u64 = 1 << 32;

/// A user at a worker.
#[derive(Debug)]
pub struct SimUserRooms {
    /// The user.
    pub user: u8,
    /// The user's rooms.
    pub user_rooms: UserRooms,
    /// Whether a session of the user has read them.
    pub loaded: bool,
    /// The read of the user's memberships that is under way, if the user's sessions share it. It ends
    /// with the last session, since the user's rooms are then no longer kept up to date.
    pub loading: Option<Load>,
    sessions: u8,
    reads: Vec<JoinRead>,
    number: u16,
}

/// A read of a user's memberships.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The session that it is made for.
    pub leader: Sid,
    /// What it may claim.
    pub reading: CatchUpRead,
    /// Which replicas it touches when.
    pub touch: Touch,
    /// When it begins.
    pub begun: Time,
    /// When it ends.
    pub end: Time,
    /// Whether it works.
    pub works: bool,
}

/// A read for a room that the user joined.
#[derive(Debug)]
struct JoinRead {
    number: u16,
    room: SimKey,
    due: PendingRoomRead,
    /// None while the room's interest is not confirmed.
    reading: Option<CatchUpRead>,
    looks: Option<Looks>,
}

impl SimUserRooms {
    fn new(user: u8, rules: Safeguards) -> Self {
        let user_rooms = UserRooms::new(rules);
        let (loaded, loading, reads) = (false, None, Vec::new());
        Self { user, user_rooms, loaded, loading, sessions: 0, reads, number: 0 }
    }
}

impl World {
    /// The room's id in the product.
    pub fn room_id(&self, room: SimKey) -> &RoomId {
        &self.names.rooms[usize::from(room - USERS_MAX)]
    }

    fn room_of(&self, room: &RoomId) -> SimKey {
        let at = self.names.rooms.iter().position(|known| known == room);
        USERS_MAX + at.expect("a room of this world") as SimKey
    }

    fn belonging_ref(&self, at: At, user: u8) -> Option<&SimUserRooms> {
        let node = &self.nodes[usize::from(at.life.node)];
        let belongings = &node.workers[usize::from(at.thread - 1)].belongings;
        belongings.iter().find(|it| it.user == user)
    }

    pub(super) fn user_rooms(&mut self, at: At, user: u8) -> Option<&mut SimUserRooms> {
        self.worker(at).belongings.iter_mut().find(|it| it.user == user)
    }

    /// Adds a session of a user to a worker.
    pub(super) fn join_belonging(&mut self, at: At, user: u8) {
        if self.plan.size.rooms == 0 {
            return;
        }
        if self.user_rooms(at, user).is_none() {
            let fresh = SimUserRooms::new(user, self.controls.rules);
            self.worker(at).belongings.push(fresh);
        }
        if let Some(it) = self.user_rooms(at, user) {
            it.sessions += 1;
        }
    }

    /// Removes it; the last one takes with it what is known of the user's rooms.
    pub(super) fn leave_belonging(&mut self, at: At, user: u8) {
        let Some(it) = self.user_rooms(at, user) else { return };
        it.sessions -= 1;
        if it.sessions > 0 {
            return;
        }
        for room in self.rooms_of(at, user) {
            self.let_go(at, room);
        }
        self.worker(at).belongings.retain(|it| it.user != user);
    }

    /// The rooms that a user is in, as a worker knows it.
    pub fn rooms_of(&self, at: At, user: u8) -> Vec<SimKey> {
        let inside = self.belonging_ref(at, user).into_iter();
        let inside = inside.flat_map(|it| it.user_rooms.inside());
        inside.map(|room_state| self.room_of(&room_state.room)).collect()
    }

    /// Whether a user is in a room, as a worker knows it.
    pub fn is_inside(&self, at: At, user: u8, room: SimKey) -> bool {
        let known = self.belonging_ref(at, user);
        let known = known.and_then(|it| it.user_rooms.get(self.room_id(room).as_str()));
        known.is_some_and(RoomState::is_inside)
    }

    /// Whether a message is owed to a user, as a worker knows it.
    pub fn is_his(&self, at: At, user: u8, message: Msg) -> bool {
        let known = self.message(message);
        match known.content {
            SimContent::Direct(_) => true,
            SimContent::Room(room) => self
                .belonging_ref(at, user)
                .is_some_and(|it| it.user_rooms.is_owed(self.room_id(room).as_str(), known.id)),
            SimContent::Change(_) => false,
        }
    }

    /// Whether a message that was read or kept may be delivered to a user's session now.
    pub fn may_be_handed(&self, at: At, user: u8, message: Msg) -> bool {
        let known = self.message(message);
        match known.content {
            SimContent::Room(room) if self.makes(Mutation::StaleList) => {
                let it = self.belonging_ref(at, user);
                let room_state = it.and_then(|it| it.user_rooms.get(self.room_id(room).as_str()));
                room_state.is_none_or(|room_state| known.id > room_state.joined())
            }
            _ => self.is_his(at, user, message),
        }
    }

    /// The place from which on a session has what is delivered to a room.
    pub fn place_in(&self, at: At, user: u8, room: SimKey, session: DeliverySeq) -> DeliverySeq {
        let it = self.belonging_ref(at, user);
        it.map_or(session, |it| it.user_rooms.place(self.room_id(room).as_str(), session))
    }

    /// Whether the subscriptions of all rooms of a user are confirmed.
    pub fn are_heard(&self, at: At, user: u8) -> bool {
        self.rooms_of(at, user).into_iter().all(|room| self.is_confirmed(at.life, room))
    }

    /// Handles a notice at a worker.
    pub(super) fn hear_notice(&mut self, at: At, change: &Change) {
        let Change { user, room, state, .. } = *change;
        if self.user_rooms(at, user).is_none() {
            return;
        }
        if !change.inside {
            self.heard_leave(at, user, room, state.removed);
        }
        self.learn(at, (user, room), state);
    }

    /// Applies a membership.
    ///
    /// While no session of the user has loaded, each of them reads all the user's rooms itself,
    /// regardless of how they became known. A pending room would be read from the joining on, which
    /// may be long ago.
    fn learn(&mut self, at: At, (user, room): (u8, SimKey), state: MemberState) {
        let row = self.membership(room, state);
        let place = self.worker(at).recent.place();
        let was_inside = self.is_inside(at, user, room);
        let mutation = self.controls.mutation;
        let Some(it) = self.user_rooms(at, user) else { return };
        let learned = if it.loaded && mutation != Some(Mutation::NewsTakenForFirst) {
            KnowledgeSource::News
        } else {
            KnowledgeSource::First
        };
        let applied = it.user_rooms.apply(&row, place, learned);
        let known = it.user_rooms.get(row.room.as_str()).map(RoomState::joined);
        let due = known.and_then(|joined| it.user_rooms.due_of(&row.room, joined));
        trace!(self, "{at:?} learns of {user} in {room} {state:?}: {applied:?}");
        match (was_inside, self.is_inside(at, user, room)) {
            (false, true) => self.take_interest(at, room),
            (true, false) => self.let_go(at, room),
            _ => {}
        }
        if let Some(due) = due.filter(|_| applied == crate::watermark::RoomChange::Joined) {
            self.await_joined(at, user, room, due);
        }
    }

    /// Applies memberships that were read.
    pub(super) fn learn_all(&mut self, at: At, user: u8, rows: &[(SimKey, MemberState)]) {
        for (room, state) in rows {
            self.learn(at, (user, *room), *state);
        }
    }

    /// Notes that a session of a user has loaded.
    pub(super) fn load(&mut self, at: At, user: u8) {
        if let Some(it) = self.user_rooms(at, user) {
            it.loaded = true;
        }
    }

    /// Waits for the interest of a room that a user joined, to read it then.
    fn await_joined(&mut self, at: At, user: u8, room: SimKey, due: PendingRoomRead) {
        let Some(it) = self.user_rooms(at, user) else { return };
        it.number += 1;
        let number = it.number;
        it.reads.retain(|read| read.room != room);
        it.reads.push(JoinRead { number, room, due, reading: None, looks: None });
        if self.awaits_room(at, user, room) {
            self.queue
                .push(self.now + JOIN_WAIT, Event::Thread(at, Job::JoinTimeout(user, number)));
        } else {
            self.begin_join_read(at, user, number);
        }
    }

    /// Whether a room's subscription is not confirmed yet; the worker is told when it is.
    pub(super) fn awaits_room(&mut self, at: At, user: u8, room: SimKey) -> bool {
        let index = self.bucket_of(room);
        let shard = self.shard_of(index);
        let send_id = WaiterId(FOR_ROOM | u64::from(at.thread) << 8 | u64::from(user));
        let machine = &mut self.hearing(at.life, shard).machine;
        let bucket = super::subscriber::bucket(index);
        machine.confirmation(bucket, send_id, |_| true) != SubscriptionState::Confirmed
    }

    /// The thread and the job that wait for a confirmation.
    pub(super) fn waiter(&mut self, life: Life, send_id: WaiterId) -> (At, Job) {
        if send_id.0 & FOR_ROOM == 0 {
            let sid = send_id.0 as Sid;
            return (self.session(sid).at, Job::Confirmed(sid));
        }
        let (thread, user) = ((send_id.0 >> 8) as u8, send_id.0 as u8);
        (At { life, thread }, Job::RoomHeard(user))
    }

    /// Handles that a room of a user is confirmed.
    pub fn room_heard(&mut self, at: At, user: u8) {
        self.each_session(at, |world, sid| {
            if world.clients.sessions[usize::from(sid)].user == user {
                world.go_on_if_heard(at, sid);
            }
        });
        let Some(it) = self.user_rooms(at, user) else { return };
        let waiting = it.reads.iter().filter(|read| read.reading.is_none());
        let waiting: Vec<(u16, SimKey)> = waiting.map(|read| (read.number, read.room)).collect();
        for (number, room) in waiting {
            if self.is_confirmed(at.life, room) {
                self.begin_join_read(at, user, number);
            }
        }
    }

    /// Stops waiting for the room that a user joined.
    pub fn join_timed_out(&mut self, at: At, user: u8, number: u16) {
        let Some(it) = self.user_rooms(at, user) else { return };
        if it.reads.iter().any(|read| read.number == number && read.reading.is_none()) {
            self.begin_join_read(at, user, number);
        }
    }

    fn begin_join_read(&mut self, at: At, user: u8, number: u16) {
        let wall = self.nodes[usize::from(at.life.node)].clocks.wall(self.now);
        let viewed = self.viewed(at.life);
        let room = |read: &JoinRead| (read.number == number).then_some(read.room);
        let room = self.belonging_ref(at, user).and_then(|it| it.reads.iter().find_map(room));
        let Some(room) = room else { return };
        let reading = CatchUpRead::begin(wall, viewed, self.is_confirmed(at.life, room));
        trace!(self, "{at:?} reads {room} for {user}: {reading:?}");
        if let Some(read) = self.join_reading(at, user, number) {
            read.reading = Some(reading);
        }
        self.then(at, ThreadStep::IssueJoinRead(user, number));
    }

    fn join_reading(&mut self, at: At, user: u8, number: u16) -> Option<&mut JoinRead> {
        let it = self.user_rooms(at, user)?;
        it.reads.iter_mut().find(|read| read.number == number)
    }

    /// Issues a read for a room that a user joined.
    pub fn issue_join_read(&mut self, at: At, user: u8, number: u16) {
        let end = self.now + 1 + self.plan.slow.reads.draw(&mut self.rng);
        let ranges = self.draw_touch(self.now, end);
        let works = !self.rng.chance(self.plan.slow.reads_fail_in);
        let Some(read) = self.join_reading(at, user, number) else { return };
        let above = MessageId::last_of(read.due.above);
        let above = read.looks.map_or(above, |looks| looks.above);
        let key = read.room;
        read.looks =
            Some(Looks { activity: ranges, ranges, since: above, above, key, heads_known: true });
        self.queue.push(end, Event::Thread(at, Job::JoinRead(user, number, works)));
    }

    /// Ends it: what it found is offered to all sessions of the user.
    pub fn join_read(&mut self, at: At, user: u8, number: u16, works: bool) {
        let Some(it) = self.user_rooms(at, user) else { return };
        let found = it.reads.iter().position(|read| read.number == number);
        let Some(mut read) = found.map(|found| it.reads.swap_remove(found)) else { return };
        let (Some(reading), Some(looks)) = (read.reading.filter(|_| works), read.looks) else {
            return;
        };
        let (page, last) = self.first_page(self.found_in_range(&looks));
        self.offer_to_all(at, user, page);
        if let Some(above) = last
            && let Some(it) = self.user_rooms(at, user)
        {
            read.looks = Some(Looks { above, ..looks });
            it.reads.push(read);
            return self.then(at, ThreadStep::IssueJoinRead(user, number));
        }
        let (now, watermark) = (self.viewed(at.life), self.worker(at).watermark);
        let Some(it) = self.user_rooms(at, user) else { return };
        let settled = it.user_rooms.read(&read.due, reading, now, watermark);
        trace!(self, "{at:?} has read {} for {user}: {settled}", read.room);
    }

    /// Offers messages of a room to all sessions of a user.
    pub(super) fn offer_to_all(&mut self, at: At, user: u8, found: Messages) {
        self.each_session(at, |world, sid| {
            if world.clients.sessions[usize::from(sid)].user == user {
                world.each_message(found, |world, message| world.offer(at, sid, message));
            }
        });
    }

    /// Offers a message that was read to a session, unless it has the message. A session's own read
    /// comes first. What the session missed meanwhile does not change what was read.
    pub(super) fn offer(&mut self, at: At, sid: Sid, message: Msg) {
        let SimSession { phase, .. } = self.clients.sessions[usize::from(sid)];
        let forgets = self.makes(Mutation::MissingForgotten);
        match phase {
            // The memory lacks what the session missed.
            Phase::Missing if !forgets => self.session(sid).put_aside(one(message)),
            Phase::Live if !self.had(at, sid, message) => {
                if self.session(sid).is_buffering() {
                    self.session(sid).put_aside(one(message));
                } else {
                    self.deliver_own(sid, message);
                }
            }
            _ => {}
        }
    }

    /// The reads due for the users of a worker.
    pub(super) fn dues(&self, at: At) -> Vec<(u8, SimKey, PendingRoomRead)> {
        let node = &self.nodes[usize::from(at.life.node)];
        let belongings = &node.workers[usize::from(at.thread - 1)].belongings;
        let dues = belongings.iter().flat_map(|it| it.user_rooms.due().map(|due| (it.user, due)));
        dues.map(|(user, due)| (user, self.room_of(&due.room), due)).collect()
    }

    /// Handles the passing of a second: a due room is read once its subscription is confirmed and
    /// nothing is frozen.
    pub(super) fn tick_belongings(&mut self, at: At) {
        if self.viewed(at.life).frozen {
            return;
        }
        for (user, room, due) in self.dues(at) {
            let Some(it) = self.user_rooms(at, user) else { continue };
            let idle = it.reads.iter().all(|read| read.room != room);
            if idle && self.is_confirmed(at.life, room) {
                self.await_joined(at, user, room, due);
            }
        }
    }
}
