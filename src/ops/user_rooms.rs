//! The rooms that a user is in, as pages over HTTP.

use std::rc::Rc;

use super::Router;
use super::bounded_concurrency::at_once;
use crate::domain::{Membership, Room, RoomId, UserId};
use crate::protocol::ErrorReply;
use crate::send::MEMBERSHIPS_MAX;
use crate::services::within;
use crate::store::MembershipsQuery;
use crate::worker_call::Caller;

/// Rows of memberships that cost as much as the read of one row.
const MEMBERSHIPS_A_READ: usize = 100;

/// A page of the rooms that a user is in.
#[derive(Debug)]
pub struct UserRoomsPage {
    /// The rooms and the user's membership in each, in the order of their ids.
    pub rooms: Vec<(Room, Membership)>,
    /// Where the next page goes on after; none at the end.
    pub next: Option<RoomId>,
}

impl Router {
    /// Returns a page of the rooms that a user is in: at most `limit`, with ids above `after`. A
    /// room that was not made, though its owner is stored, is left out.
    pub async fn rooms_for(
        self: Rc<Self>,
        caller: Caller,
        user: UserId,
        after: Option<RoomId>,
        limit: usize,
    ) -> Result<UserRoomsPage, ErrorReply> {
        self.may_read(&caller, 0)?;
        // As many pages of a user are read at once as of history, so that others find room.
        let _permit = match &caller {
            Caller::User(user) => Some(self.limiter.page_permit(user).await),
            Caller::Service(_) => None,
        };
        let query = MembershipsQuery { user, limit: MEMBERSHIPS_MAX };
        let rows = self.services.answer(self.services.store.memberships(query)).await?;
        let read = rows.len() / MEMBERSHIPS_A_READ;
        let (members, next) = page(rows, after.as_ref(), limit);
        if let Caller::User(user) = &caller {
            self.limiter.read_on(user).map_err(|refused| refused.refusal())?;
            self.limiter.owe_reads(user, read + members.len());
        }
        let room = |member: Membership| {
            let room = self.services.store.room(member.room.clone());
            let bound = self.services.config.timeouts.store;
            async move { Ok(within(bound, room).await?.map(|room| (room, member))) }
        };
        let rooms = at_once(members, room).await?.into_iter().flatten();
        let is_inside = |member: &Membership| self.sessions.still_inside(member).is_ok();
        Ok(UserRoomsPage { rooms: rooms.filter(|(_, member)| is_inside(member)).collect(), next })
    }
}

/// Returns the memberships of a page in the order of the rooms' ids, and where the next one begins.
fn page(
    rows: Vec<Membership>,
    after: Option<&RoomId>,
    limit: usize,
) -> (Vec<Membership>, Option<RoomId>) {
    let mut inside: Vec<Membership> = rows.into_iter().filter(Membership::is_inside).collect();
    inside.retain(|member| Some(&member.room) > after);
    inside.sort_by(|one, other| one.room.cmp(&other.room));
    let more = inside.len() > limit;
    inside.truncate(limit);
    let next = inside.last().filter(|_| more).map(|last| last.room.clone());
    (inside, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberRole, MemberState, MessageId, Micros};

    #[test]
    fn pages_together_are_all_rooms_that_the_user_is_in_once_and_in_order() {
        let member = |room: &str, left: bool| {
            let stamp = |time| MessageId::first_of(Micros(time));
            let inside = MemberState::UNKNOWN.add(MemberRole::Member, stamp(1));
            Membership {
                room: RoomId::parse(room).unwrap(),
                user: UserId::parse("me").unwrap(),
                state: if left { inside.remove(stamp(2)) } else { inside },
            }
        };
        let rows = || ["d", "a", "c", "b", "e"].map(|room| member(room, room == "c")).to_vec();
        for limit in 1..=5 {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let (found, next) = page(rows(), after.as_ref(), limit);
                assert!((1..=limit).contains(&found.len()), "{limit}");
                all.extend(found.into_iter().map(|member| member.room.as_str().to_owned()));
                after = next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(all, ["a", "b", "d", "e"], "{limit}");
        }
    }
}
