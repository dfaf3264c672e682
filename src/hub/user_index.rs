//! The users with sessions here, and the rooms that they are in.

use std::cell::Cell;
use std::rc::Rc;

use ahash::AHashMap;
use slab::Slab;
use smallvec::SmallVec;

use super::{RoomLoad, SessionId};
use crate::cluster::Safeguards;
use crate::domain::{Membership, RoomId, UserId};
use crate::watermark::{DeliverySeq, KnowledgeSource, RoomChange, RoomState, UserRooms};

/// A user's slot among the users of a worker.
type UserSlot = u32;

/// A user with sessions here.
#[derive(Debug)]
pub(super) struct UserEntry {
    pub(super) user: UserId,
    pub(super) sessions: SmallVec<[SessionId; 2]>,
    pub(super) rooms: UserRooms,
    /// Whether the rooms were read.
    pub(super) loaded: bool,
    /// The read of the rooms that is in progress. It is dropped with the last session: without
    /// sessions no notice is received, so an older read may lack changes.
    pub(super) loading: Option<Rc<RoomLoad>>,
    /// Unanswered reads of the user's sessions.
    pub(super) reads: Rc<Cell<usize>>,
}

/// The users of a worker's sessions.
///
/// Invariant: a room lists exactly the users that are in it according to their `rooms`.
#[derive(Debug, Default)]
pub(super) struct UserIndex {
    places: Slab<UserEntry>,
    by_user: AHashMap<UserId, UserSlot>,
    by_room: AHashMap<RoomId, Vec<UserSlot>>,
}

impl UserIndex {
    /// Adds a session of a user.
    pub(super) fn join(&mut self, user: &UserId, session: SessionId) {
        let places = &mut self.places;
        let id = *self.by_user.entry(user.clone()).or_insert_with(|| {
            let (user, sessions) = (user.clone(), SmallVec::new());
            let rooms = UserRooms::new(Safeguards::default());
            let (loaded, loading, reads) = (false, None, Rc::default());
            let user_entry = UserEntry { user, sessions, rooms, loaded, loading, reads };
            places.insert(user_entry) as UserSlot
        });
        places[id as usize].sessions.push(session);
    }

    /// Removes a session of a user. Returns the rooms that lose the user, if it was the last
    /// session.
    pub(super) fn leave(&mut self, user: &UserId, session: SessionId) -> Vec<RoomId> {
        let Some(&id) = self.by_user.get(user) else { return Vec::new() };
        let user_entry = &mut self.places[id as usize];
        user_entry.sessions.retain(|held| *held != session);
        if !user_entry.sessions.is_empty() {
            return Vec::new();
        }
        let user_entry = self.places.remove(id as usize);
        self.by_user.remove(user);
        let rooms: Vec<RoomId> =
            user_entry.rooms.inside().map(|known| known.room.clone()).collect();
        rooms.iter().for_each(|room| self.strike(room, id));
        rooms
    }

    fn strike(&mut self, room: &RoomId, id: UserSlot) {
        if let Some(members) = self.by_room.get_mut(room) {
            members.retain(|member| *member != id);
            if members.is_empty() {
                self.by_room.remove(room);
            }
        }
    }

    /// Applies news of a user's membership. Nothing is recorded for a user without sessions here.
    pub(super) fn apply_membership(
        &mut self,
        news: &Membership,
        place: DeliverySeq,
        learned: KnowledgeSource,
    ) -> RoomChange {
        let Some(&id) = self.by_user.get(&news.user) else { return RoomChange::Stale };
        let rooms = &mut self.places[id as usize].rooms;
        let was = rooms.get(news.room.as_str()).is_some_and(RoomState::is_inside);
        let applied = rooms.apply(news, place, learned);
        match applied {
            RoomChange::Joined if !was => {
                self.by_room.entry(news.room.clone()).or_default().push(id);
            }
            RoomChange::Left => self.strike(&news.room, id),
            RoomChange::Joined | RoomChange::Stale | RoomChange::Kept => {}
        }
        applied
    }

    /// Returns a user.
    pub(super) fn of(&self, user: &str) -> Option<&UserEntry> {
        self.by_user.get(user).map(|id| &self.places[*id as usize])
    }

    /// Returns a user, to be changed. The `rooms` of a user change by [`UserIndex::apply_membership`] alone.
    pub(super) fn of_mut(&mut self, user: &str) -> Option<&mut UserEntry> {
        self.by_user.get(user).map(|id| &mut self.places[*id as usize])
    }

    /// Returns the members of a room who have sessions here.
    pub(super) fn members(&self, room: &str) -> impl Iterator<Item = &UserEntry> {
        let members = self.by_room.get(room).map(Vec::as_slice).unwrap_or_default();
        members.iter().map(|id| &self.places[*id as usize])
    }

    /// Returns every user.
    pub(super) fn iter(&self) -> impl Iterator<Item = &UserEntry> {
        self.places.iter().map(|(_, user_entry)| user_entry)
    }

    /// Returns the rooms that users here are in.
    pub(super) fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.by_room.keys()
    }

    /// Returns whether there are no users.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.by_user.is_empty() && self.by_room.is_empty()
    }
}
