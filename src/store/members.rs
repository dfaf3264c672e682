//! Which users are in which rooms.

use std::time::Duration;

use crate::domain::{Membership, RoomId, UserId};

/// How long a room that a user left stays on the list of the user's rooms. A node that missed the
/// removal learns of it there, and no node is cut off from the others for that long.
pub const LEFT_KEPT: Duration = Duration::from_hours(35 * 24);

/// One user in one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipKey {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
}

/// Asks for a page of a room's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersQuery {
    /// The room.
    pub room: RoomId,
    /// Only those above it; it need not be a member.
    pub after: Option<UserId>,
    /// Most rows that are looked at, including those of members who left; zero counts as one.
    pub limit: usize,
}

/// A page of a room's members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MembersPage {
    /// The members, in the order of their ids.
    pub members: Vec<Membership>,
    /// Where to read on after; none at the end.
    pub next: Option<UserId>,
}

/// Asks for the rooms that a user is or was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipsQuery {
    /// The user.
    pub user: UserId,
    /// Most rooms.
    pub limit: usize,
}
