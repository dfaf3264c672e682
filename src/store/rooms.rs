//! The port to rooms.

use std::fmt;

use super::{
    MembersPage, MembersQuery, MembershipKey, MembershipsQuery, PendingRead, PendingWrite,
};
use crate::domain::{Membership, MessageId, Room, RoomId};

/// Rooms and memberships. Stamps decide, never the order of arrival.
pub trait RoomStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a room's row, whole. Of two rows of one room the one with the larger stamp stays, in
    /// any order of arrival.
    fn put_room(&self, room: Room) -> PendingWrite;

    /// Reads a room's row.
    fn room(&self, room: RoomId) -> PendingRead<Option<Room>>;

    /// Reads the id of a room's newest message; none if it has none.
    fn head(&self, room: RoomId) -> PendingRead<Option<MessageId>>;

    /// Stores a user's state in a room, to be read from either side. Of two the one with the larger
    /// stamp stays, in any order of arrival. Storing it again changes nothing.
    fn put_membership(&self, membership: Membership) -> PendingWrite;

    /// Reads a user's state in a room; none if it was never set. Where the two sides are separate
    /// rows both are read, and the larger stamp counts. The next change must be above every earlier
    /// one on either of them.
    fn membership(&self, key: MembershipKey) -> PendingRead<Option<Membership>>;

    /// Reads a room's members in the order of their ids, from above `after` on. It looks at `limit`
    /// rows at most (zero counts as one), including those of members who left. So a page may be
    /// short or empty before the end.
    fn members(&self, query: MembersQuery) -> PendingRead<MembersPage>;

    /// Reads a user's states in rooms, including those that the user left: the first `limit` in the
    /// order of their ids. If it returns `limit` of them there may be more.
    fn memberships(&self, query: MembershipsQuery) -> PendingRead<Vec<Membership>>;

    /// Removes a room that a user left from the list of the user's rooms, which
    /// [`Self::memberships`] reads; [`Self::membership`] still returns it. An add that is stored by
    /// then, or later, stays in any order of arrival: only what the given removal followed is
    /// removed.
    fn unlist(&self, left: Membership) -> PendingWrite;
}
