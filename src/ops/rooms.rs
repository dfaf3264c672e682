//! Rooms as their owners and services use them: created, renamed, read, joined and left.

use std::rc::Rc;

use smallvec::SmallVec;

use super::Router;
use super::bounded_concurrency::at_once;
use crate::config::Initiator;
use crate::domain::{
    Conversation, HistoryVisibility, MemberRole, Membership, Room, RoomId, RoutingKey, UserId,
};
use crate::protocol::{Code, ErrorReply, ServerFrame, stored_json};
use crate::send::{Added, ChangedRoom};
use crate::services::no_such_conversation;
use crate::store::{MembersPage, MembersQuery, MembershipKey};
use crate::worker_call::Caller;

/// Rows of members that cost as much as the read of one row.
const MEMBERS_A_READ: usize = 100;

/// What only an owner may do, for the answer to a member who asks for it.
const ADD_MEMBERS: &str = "add members or change roles";

/// What a request asks of a room.
#[derive(Debug, Clone, Default)]
pub struct RoomWish {
    /// The room's title; `None` leaves it unchanged, and an empty one removes it.
    pub title: Option<Box<str>>,
    /// The room's data, as JSON; `None` leaves it unchanged, and an empty text removes it.
    pub data: Option<Box<str>>,
    /// What members see of the time before they joined; set only when the room is created.
    pub past: Option<HistoryVisibility>,
    /// The owner of a new room; only a service may choose it.
    pub owner: Option<UserId>,
}

impl Router {
    /// Creates a room with a random id. A repeated request creates another room.
    pub async fn create_room(
        self: Rc<Self>,
        caller: Caller,
        wish: RoomWish,
    ) -> Result<Room, ErrorReply> {
        self.services.clocks.must_know_the_time()?;
        if matches!(caller, Caller::User(_))
            && self.services.config.policy.create == Initiator::Service
        {
            let message = "only services create rooms: `policy.create` is not \"anyone\"";
            return Err(ErrorReply::new(Code::Forbidden, message));
        }
        self.may_change(&caller).await?;
        self.make(&caller, RoomId::of_bits(rand::random()), wish).await
    }

    /// Creates a room under an id that a service chose, or renames one. Returns the room, and
    /// whether it was created. A repeated request changes nothing. A user may rename rooms that the
    /// user owns, and is not told whether any other room exists.
    pub async fn put_room(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
        wish: RoomWish,
    ) -> Result<(Room, bool), ErrorReply> {
        self.services.clocks.must_know_the_time()?;
        self.may_change(&caller).await?;
        self.must_own(&caller, &room, "change a room").await.map_err(no_room_to_change)?;
        match self.services.answer(self.services.store.room(room.clone())).await? {
            Some(known) => Ok((self.change_room(&caller, known, wish).await?, false)),
            None if matches!(caller, Caller::User(_)) => {
                Err(no_room_to_change(no_such_conversation()))
            }
            None => Ok((self.make(&caller, room, wish).await?, true)),
        }
    }

    async fn make(
        self: &Rc<Self>,
        caller: &Caller,
        id: RoomId,
        wish: RoomWish,
    ) -> Result<Room, ErrorReply> {
        let owner = match caller {
            Caller::User(user) => Some(user.clone()),
            Caller::Service(_) => wish.owner.clone(),
        };
        let stamp = self.services.clocks.issue_id();
        let room = Room {
            id,
            title: changed_text(wish.title, None),
            data: changed_text(wish.data, None),
            creator: caller.user().clone(),
            past: wish.past.unwrap_or(HistoryVisibility::All),
            created: stamp,
            stamp,
        };
        let mut added = None;
        if let Some(owner) = owner {
            // The owner is added first, so that a room that exists has its owner.
            let (room, role) = (changed_room(caller, &room), Some(MemberRole::Owner));
            added = Some(self.changes.add_unanswered(room, &owner, role).await?);
        }
        self.services.written(self.services.store.put_room(room.clone())).await?;
        if let Some(owner) = added {
            self.changes.until_passed(owner.stamp).await?;
        }
        Ok(room)
    }

    async fn change_room(
        self: &Rc<Self>,
        caller: &Caller,
        known: Room,
        wish: RoomWish,
    ) -> Result<Room, ErrorReply> {
        if wish.past.is_some_and(|past| past != known.past) {
            let message = "`history_visibility` is set when a room is created and never changed";
            return Err(ErrorReply::bad_request(message));
        }
        if let Some(owner) = &wish.owner {
            self.must_be_an_owner(&known.id, owner).await?;
        }
        let title = changed_text(wish.title, known.title.as_deref());
        let data = changed_text(wish.data, known.data.as_deref());
        if (&title, &data) == (&known.title, &known.data) {
            // A change is told. That a room was made is not.
            if known.stamp != known.created {
                self.announce_room(caller, &known);
            }
            return Ok(known);
        }
        self.services.clocks.follow(known.stamp)?;
        let room = Room { title, data, stamp: self.services.clocks.issue_id(), ..known };
        self.services.written(self.services.store.put_room(room.clone())).await?;
        self.announce_room(caller, &room);
        Ok(room)
    }

    /// Tells the members what a room is like now, unless this worker told them of this or a later
    /// change.
    fn announce_room(self: &Rc<Self>, caller: &Caller, room: &Room) {
        if !self.told_rooms.advance(room.id.clone(), room.stamp) {
            return;
        }
        let about = Conversation::Room(room.id.clone()).to_string();
        let frame = ServerFrame::RoomChanged {
            conversation: &about,
            title: room.title.as_deref(),
            data: room.data.as_deref().and_then(stored_json),
            by: caller.by().map(UserId::as_str),
            at: room.stamp.time().millis(),
        };
        let keys = SmallVec::from_iter([RoutingKey::room(&room.id)]);
        self.fanout.announce(keys, &about, frame.text(), None);
    }

    /// Refuses an `owner` for a room that exists, unless that user owns it: a repeated request
    /// changes nothing.
    async fn must_be_an_owner(&self, room: &RoomId, owner: &UserId) -> Result<(), ErrorReply> {
        let state = self.services.member_state(room, owner).await?;
        if state.is_inside() && state.role == MemberRole::Owner {
            return Ok(());
        }
        let message = format!(
            "`owner` is set when a room is created, and `{owner}` does not own this one: `PUT` the \
             member with the role `owner`"
        );
        Err(ErrorReply::bad_request(message))
    }

    /// Returns a room, to its members and to services.
    pub async fn look_at_room(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
    ) -> Result<Room, ErrorReply> {
        self.may_read(&caller, 1)?;
        self.must_be_in(&caller, &room).await?;
        self.services
            .answer(self.services.store.room(room.clone()))
            .await?
            .ok_or_else(no_such_conversation)
    }

    /// Returns a page of a room's members, to its members and to services.
    pub async fn list_members(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<MembersPage, ErrorReply> {
        self.may_read(&caller, 2 + limit / MEMBERS_A_READ)?;
        self.must_exist(&room).await?;
        self.must_be_in(&caller, &room).await?;
        let query = MembersQuery { room, after, limit };
        self.services.answer(self.services.store.members(query)).await
    }

    /// Adds a member, or changes the member's role. No role keeps the one that is held.
    pub async fn put_member(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
        user: UserId,
        role: Option<MemberRole>,
    ) -> Result<Membership, ErrorReply> {
        self.may_change(&caller).await?;
        self.must_own(&caller, &room, ADD_MEMBERS).await?;
        let room = self.must_exist(&room).await?;
        self.changes.add_member(changed_room(&caller, &room), &user, role).await
    }

    /// Adds members, or changes their roles. Each has its own outcome, in the order of the request;
    /// all of them wait for the clock together.
    pub async fn put_members(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
        members: Vec<(UserId, Option<MemberRole>)>,
    ) -> Result<Vec<(UserId, Result<Membership, ErrorReply>)>, ErrorReply> {
        self.charge_list(&caller, "members", members.len())?;
        self.must_own(&caller, &room, ADD_MEMBERS).await?;
        let room = self.must_exist(&room).await?;
        let add = |(user, role): (UserId, Option<MemberRole>)| {
            let (router, caller, room) = (Rc::clone(&self), caller.clone(), room.clone());
            async move {
                let added = router.add_one(&caller, &room, &user, role).await;
                Ok((user, added))
            }
        };
        let added = at_once(members, add).await?;
        let last = added.iter().filter_map(|(_, it)| Some(it.as_ref().ok()?.stamp)).max();
        let passed = match last {
            Some(last) => self.changes.until_passed(last).await,
            None => Ok(()),
        };
        let answer = |(user, it): (UserId, Result<Added, ErrorReply>)| {
            let member = it.and_then(|added| passed.clone().map(|()| added.member));
            (user, member)
        };
        Ok(added.into_iter().map(answer).collect())
    }

    /// Adds one of several members. Each counts as a change.
    async fn add_one(
        self: &Rc<Self>,
        caller: &Caller,
        room: &Room,
        user: &UserId,
        role: Option<MemberRole>,
    ) -> Result<Added, ErrorReply> {
        self.may_change(caller).await?;
        self.changes.add_unanswered(changed_room(caller, room), user, role).await
    }

    /// Removes a member. A user may always leave, and repeat that. A repeated removal completes one
    /// of unknown outcome, even if one of its rows already states that the user is out.
    pub async fn remove_member(
        self: Rc<Self>,
        caller: Caller,
        room: RoomId,
        user: UserId,
    ) -> Result<(), ErrorReply> {
        self.may_change(&caller).await?;
        let himself = matches!(&caller, Caller::User(me) if *me == user);
        if !himself {
            self.must_own(&caller, &room, "remove others").await?;
        }
        let key = MembershipKey { room: room.clone(), user: user.clone() };
        let known = self.services.answer(self.services.store.membership(key)).await?;
        if known.is_none() {
            let no_such_member = || ErrorReply::new(Code::NotFound, "no such member");
            return Err(if himself { no_such_conversation() } else { no_such_member() });
        }
        let changed = ChangedRoom { id: &room, title: None, by: caller.by() };
        self.changes.remove_member(changed, &user).await
    }

    /// Charges a change as one of the user's sends; a service is not charged.
    async fn may_change(&self, caller: &Caller) -> Result<(), ErrorReply> {
        let Caller::User(user) = caller else { return Ok(()) };
        self.limiter.change(user).await.map_err(|refused| refused.refusal())
    }

    /// Charges one read and `more` further ones to a user. A service is not charged.
    pub(super) fn may_read(&self, caller: &Caller, more: usize) -> Result<(), ErrorReply> {
        let Caller::User(user) = caller else { return Ok(()) };
        self.limiter.read(user).map_err(|refused| refused.refusal())?;
        self.limiter.owe_reads(user, more);
        Ok(())
    }

    pub(super) async fn must_exist(&self, room: &RoomId) -> Result<Room, ErrorReply> {
        let known = self.services.answer(self.services.store.room(room.clone())).await?;
        known.ok_or_else(no_such_conversation)
    }

    /// Refuses a user who does not own the room; services may change every room. A member is told
    /// what only an owner may do. A room that does not exist and one that the user is not in get
    /// the same answer.
    async fn must_own(&self, caller: &Caller, room: &RoomId, what: &str) -> Result<(), ErrorReply> {
        let Caller::User(user) = caller else { return Ok(()) };
        let member = self.services.place_in(room, user).await?;
        if member.state.role == MemberRole::Owner {
            return Ok(());
        }
        Err(ErrorReply::new(Code::Forbidden, format!("only an owner may {what}")))
    }

    async fn must_be_in(&self, caller: &Caller, room: &RoomId) -> Result<(), ErrorReply> {
        let Caller::User(user) = caller else { return Ok(()) };
        self.services.place_in(room, user).await.map(drop)
    }
}

/// A room's title or data behind a wish: what is not wished stays, and an empty text removes it.
fn changed_text(wish: Option<Box<str>>, known: Option<&str>) -> Option<Box<str>> {
    wish.or_else(|| known.map(Into::into)).filter(|text| !text.is_empty())
}

/// A room whose members this caller changes.
fn changed_room<'a>(caller: &'a Caller, room: &'a Room) -> ChangedRoom<'a> {
    ChangedRoom { id: &room.id, title: room.title.as_deref(), by: caller.by() }
}

/// The answer to a user who puts a room without being in it. Whether there is such a room, it does
/// not say.
fn no_room_to_change(refusal: ErrorReply) -> ErrorReply {
    if refusal.code != Code::NotFound {
        return refusal;
    }
    let message = "no such room is the user's: users create rooms by POST, where `policy.create` \
                   is \"anyone\"";
    ErrorReply::new(Code::Forbidden, message)
}
