//! One user's rooms, as one worker knows them.
//!
//! Memberships arrive in any order, by notices, resumes and repairs, and merge register by register
//! ([`MemberState`]). A membership in which the user is out is kept: an older add that comes late
//! must not bring the user back.
//!
//! A user may be added to a room while having sessions. Then messages above the stamp are owed, and
//! those from before the notice were not delivered. Until they are read, the room is *pending*. It
//! has its own session position, and no cursor of the user's sessions goes above that.

use super::{CatchUpRead, DeliverySeq, RoundKind, SessionPosition, WatermarkSnapshot};
use crate::cluster::{Safeguard, Safeguards};
use crate::domain::{MemberState, Membership, MessageId, Micros, RoomId};

/// The source of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnowledgeSource {
    /// The first read for a user, none of whose sessions has a cursor yet: each of them reads the
    /// room itself.
    First,
    /// A notice or a later read.
    News,
}

/// What a membership changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomChange {
    /// Nothing: the same or something newer was known.
    Stale,
    /// The user joined, or joined anew.
    Joined,
    /// The user left.
    Left,
    /// The user's rooms did not change: only the role or a stamp did.
    Kept,
}

/// One user's state in one room.
#[derive(Debug, Clone)]
pub struct RoomState {
    /// The room.
    pub room: RoomId,
    /// Its membership.
    pub state: MemberState,
    /// The position in the order of deliveries from which on the user has what is delivered to the
    /// room.
    place: DeliverySeq,
}

impl RoomState {
    /// Whether the user is in it.
    pub fn is_inside(&self) -> bool {
        self.state.is_inside()
    }

    /// Messages at or below this are not owed to the user.
    pub fn joined(&self) -> MessageId {
        self.state.joined()
    }
}

/// A room that waits for a read after its member joined.
#[derive(Debug, Clone)]
struct Pending {
    room: RoomId,
    joined: MessageId,
    position: SessionPosition,
}

/// A read that a pending room waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRoomRead {
    /// The room.
    pub room: RoomId,
    /// The join that it is for.
    pub joined: MessageId,
    /// Messages up to this id need not be read.
    pub above: Micros,
}

/// The rooms of one user.
#[derive(Debug)]
pub struct UserRooms {
    /// By room.
    rooms: Vec<RoomState>,
    pending: Vec<Pending>,
    rules: Safeguards,
}

impl UserRooms {
    /// Starts with nothing known.
    pub const fn new(rules: Safeguards) -> Self {
        Self { rooms: Vec::new(), pending: Vec::new(), rules }
    }

    fn find(&self, room: &str) -> Result<usize, usize> {
        self.rooms.binary_search_by(|known| known.room.as_str().cmp(room))
    }

    /// The user's state in a room, if anything is known.
    pub fn get(&self, room: &str) -> Option<&RoomState> {
        self.find(room).ok().map(|at| &self.rooms[at])
    }

    /// The rooms that the user is in.
    pub fn inside(&self) -> impl Iterator<Item = &RoomState> {
        self.rooms.iter().filter(|known| known.is_inside())
    }

    /// How many rooms are known.
    pub const fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether no room is known.
    pub const fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Applies a membership of this user. `place` is the worker's next position in the order of
    /// deliveries.
    pub fn apply(
        &mut self,
        news: &Membership,
        place: DeliverySeq,
        learned: KnowledgeSource,
    ) -> RoomChange {
        let at = self.find(news.room.as_str());
        let known = at.ok().map(|at| self.rooms[at].clone());
        let state = known.as_ref().map_or(news.state, |known| self.merged(known.state, news.state));
        if known.as_ref().is_some_and(|known| known.state == state) {
            return RoomChange::Stale;
        }
        let was = known.as_ref().filter(|known| known.is_inside());
        let inside = state.is_inside();
        let joined = inside && was.is_none_or(|was| was.joined() != state.joined());
        let place = was.filter(|_| !joined).map_or(place, |was| was.place);
        let room_state = RoomState { room: news.room.clone(), state, place };
        let left = was.is_some() && !inside;
        match at {
            Ok(at) if !inside && !self.rules.on(Safeguard::OutRemembered) => {
                self.rooms.remove(at);
            }
            Ok(at) => self.rooms[at] = room_state,
            Err(at) => self.rooms.insert(at, room_state),
        }
        if joined || left {
            self.pending.retain(|pending| pending.room != news.room);
        }
        if joined && learned == KnowledgeSource::News {
            self.pend(&news.room, state.joined());
        }
        match (joined, left) {
            (true, _) => RoomChange::Joined,
            (_, true) => RoomChange::Left,
            _ => RoomChange::Kept,
        }
    }

    fn merged(&self, known: MemberState, news: MemberState) -> MemberState {
        if self.rules.on(Safeguard::Merged) { known.merge(news) } else { news }
    }

    fn pend(&mut self, room: &RoomId, joined: MessageId) {
        let below = Micros(joined.time().0.saturating_sub(1));
        let position = SessionPosition::new(below, self.rules);
        self.pending.push(Pending { room: room.clone(), joined, position });
    }

    /// Whether a message of a room is owed to the user: the user is in it, and joined before.
    pub fn is_owed(&self, room: &str, id: MessageId) -> bool {
        let bounded = self.rules.on(Safeguard::JoinedBound);
        self.get(room).is_some_and(|known| known.is_inside() && (id > known.joined() || !bounded))
    }

    /// Returns the position from which on a session of the user has what is delivered to a room.
    /// `session` is the position at which the session was registered.
    pub fn place(&self, room: &str, session: DeliverySeq) -> DeliverySeq {
        let known = self.get(room).filter(|_| self.rules.on(Safeguard::PlaceByRoom));
        known.map_or(session, |known| known.place.max(session))
    }

    /// The highest cursor that the user's sessions may be sent. None means no bound.
    pub fn cap(&self) -> Option<Micros> {
        let held = self.pending.iter().filter(|_| self.rules.on(Safeguard::JoinHold));
        held.map(|pending| pending.position.above(Micros(u64::MAX))).min()
    }

    /// The rooms that wait for a read.
    pub fn due(&self) -> impl Iterator<Item = PendingRoomRead> {
        self.pending.iter().map(|Pending { room, joined, position }| PendingRoomRead {
            room: room.clone(),
            joined: *joined,
            above: position.above(Micros(u64::MAX)),
        })
    }

    /// Returns the read that a room waits for, if it still waits for that join.
    pub fn due_of(&self, room: &RoomId, joined: MessageId) -> Option<PendingRoomRead> {
        self.due().find(|due| due.room == *room && due.joined == joined)
    }

    /// Ends a read for a pending room; what it found is in the queues of the user's sessions.
    /// `watermark` is the worker's. Returns whether the room is no longer pending.
    pub fn read(
        &mut self,
        due: &PendingRoomRead,
        reading: CatchUpRead,
        now: WatermarkSnapshot,
        watermark: Micros,
    ) -> bool {
        self.settle(due, |position| {
            position.read(reading, now, watermark);
        })
    }

    /// Ends a round that read for a pending room. `confirmed` states whether the room's
    /// subscription was confirmed when the round began. Returns whether the room is no longer
    /// pending.
    pub fn round(
        &mut self,
        due: &PendingRoomRead,
        kind: RoundKind,
        decided: Option<Micros>,
        confirmed: bool,
    ) -> bool {
        self.settle(due, |position| {
            position.round(kind, decided, confirmed, Micros(0));
        })
    }

    fn settle(&mut self, due: &PendingRoomRead, act: impl FnOnce(&mut SessionPosition)) -> bool {
        let mine = |it: &Pending| it.room == due.room && it.joined == due.joined;
        let Some(at) = self.pending.iter().position(mine) else { return true };
        act(&mut self.pending[at].position);
        let settled = self.pending[at].position.is_shared();
        if settled {
            self.pending.swap_remove(at);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberRole, UserId};
    use crate::watermark::{RecentDeliveries, WatermarkState};

    fn id(time: u64) -> MessageId {
        MessageId::first_of(Micros(time))
    }

    /// The state after an add at a time, and after the removal of a user who joined then.
    fn added(joined: u64) -> Membership {
        of(MemberState::UNKNOWN.add(MemberRole::Member, id(joined)))
    }

    fn removed(joined: u64, at: u64) -> Membership {
        of(added(joined).state.remove(id(at)))
    }

    fn added_again(joined: u64, left: u64, at: u64) -> Membership {
        of(removed(joined, left).state.add(MemberRole::Member, id(at)))
    }

    fn of(state: MemberState) -> Membership {
        Membership { room: RoomId::parse("r").unwrap(), user: UserId::parse("u").unwrap(), state }
    }

    fn fresh() -> UserRooms {
        UserRooms::new(Safeguards::default())
    }

    fn apply(to: &mut UserRooms, row: &Membership) -> RoomChange {
        to.apply(row, DeliverySeq::default(), KnowledgeSource::News)
    }

    #[test]
    fn an_older_in_brings_nobody_back() {
        let mut rooms = fresh();
        assert_eq!(apply(&mut rooms, &added(10)), RoomChange::Joined);
        assert_eq!(apply(&mut rooms, &removed(10, 20)), RoomChange::Left);
        assert_eq!(apply(&mut rooms, &added(10)), RoomChange::Stale);
        assert_eq!(apply(&mut rooms, &added(15)), RoomChange::Kept, "it was removed since");
        assert!(!rooms.is_owed("r", id(30)));
        assert_eq!(rooms.cap(), None, "a user that left waits for nothing");
        assert_eq!(apply(&mut rooms, &added_again(10, 20, 40)), RoomChange::Joined);
        assert!(!rooms.is_owed("r", id(40)) && rooms.is_owed("r", id(41)));
    }

    #[test]
    fn an_out_that_comes_first_is_remembered() {
        let mut rooms = fresh();
        assert_eq!(apply(&mut rooms, &removed(10, 20)), RoomChange::Kept);
        assert_eq!(apply(&mut rooms, &added(10)), RoomChange::Stale);
        assert_eq!(rooms.inside().count(), 0);
    }

    /// Two nodes add the same user at once. Both are answered. So a message that is sent after the
    /// first answer is owed, in any order of the notices.
    #[test]
    fn of_two_equal_adds_the_smaller_stamp_is_when_the_user_joined() {
        for order in [[10, 20], [20, 10]] {
            let mut rooms = fresh();
            let applied = order.map(|joined| apply(&mut rooms, &added(joined)));
            let joined_earlier = if order[0] == 20 { RoomChange::Joined } else { RoomChange::Kept };
            assert_eq!(applied, [RoomChange::Joined, joined_earlier]);
            assert!(!rooms.is_owed("r", id(10)) && rooms.is_owed("r", id(11)));
            assert_eq!(rooms.cap(), Some(Micros(9)), "it is read from the earlier one on");
        }
    }

    #[test]
    fn no_cursor_goes_above_a_joining_until_it_is_read() {
        let (mut rooms, view) = (fresh(), WatermarkState::default());
        apply(&mut rooms, &added(100));
        assert_eq!(rooms.cap(), Some(Micros(99)));
        let due = rooms.due().next().unwrap();
        let frozen = CatchUpRead::begin(Micros(90), view.look(), true);
        assert!(!rooms.read(&due, frozen, view.look(), Micros(500)), "the view is frozen");
        assert_eq!(rooms.cap(), Some(Micros(99)));
        assert!(!rooms.round(&due, RoundKind::Pull, Some(Micros(300)), true));
        assert_eq!(rooms.cap(), Some(Micros(300)), "a pull round raises it");
        view.close_gaps(view.gaps());
        let reading = CatchUpRead::begin(Micros(400), view.look(), true);
        assert!(rooms.read(&due, reading, view.look(), Micros(500)));
        assert_eq!(rooms.cap(), None);
    }

    #[test]
    fn a_read_for_an_earlier_joining_settles_nothing() {
        let (mut rooms, view) = (fresh(), WatermarkState::default());
        view.close_gaps(view.gaps());
        apply(&mut rooms, &added(100));
        let due = rooms.due().next().unwrap();
        apply(&mut rooms, &removed(100, 150));
        apply(&mut rooms, &added_again(100, 150, 200));
        rooms.read(&due, CatchUpRead::begin(Micros(90), view.look(), true), view.look(), Micros(0));
        assert_eq!(rooms.cap(), Some(Micros(199)));
    }

    #[test]
    fn a_role_changes_nothing_else() {
        let (mut rooms, mut recent) = (fresh(), RecentDeliveries::new(9, Safeguards::default()));
        rooms.apply(&added(10), recent.place(), KnowledgeSource::First);
        assert_eq!(rooms.cap(), None, "the first read covers it");
        let joined_at = recent.place();
        recent.note(id(11), 1);
        let owner = of(added(10).state.add(MemberRole::Owner, id(20)));
        assert_eq!(rooms.apply(&owner, recent.place(), KnowledgeSource::News), RoomChange::Kept);
        assert_eq!(rooms.get("r").unwrap().state.role, MemberRole::Owner);
        assert_eq!(rooms.place("r", DeliverySeq::default()), joined_at);
    }

    #[test]
    fn what_was_delivered_before_he_joined_is_not_had() {
        let (mut rooms, mut recent) = (fresh(), RecentDeliveries::new(9, Safeguards::default()));
        let session = recent.place();
        recent.note(id(120), 1);
        rooms.apply(&added(100), recent.place(), KnowledgeSource::News);
        assert!(recent.had(id(120), 1, session));
        assert!(!recent.had(id(120), 1, rooms.place("r", session)));
    }
}
