//! The queries about rooms.

use fjall::Guard;

use super::register;
use crate::domain::{MemberState, Membership, MessageId, Room, RoomId, UserId};
use crate::store::embedded::entry::RegisterKind;
use crate::store::embedded::keys;
use crate::store::embedded::row::{self, Defect};
use crate::store::embedded::tables::{Tables, corrupt};
use crate::store::{MembersPage, MembersQuery, MembershipKey, MembershipsQuery, ReadError};

/// Reads a room's row.
pub(in super::super) fn room(tables: &Tables, room: &RoomId) -> Result<Option<Room>, ReadError> {
    register(tables, RegisterKind::Room, &keys::room(room), |row| row::read_room(room, row))
}

/// Reads the id of a room's newest message.
pub(in super::super) fn head(
    tables: &Tables,
    room: &RoomId,
) -> Result<Option<MessageId>, ReadError> {
    register(tables, RegisterKind::Head, &keys::room(room), row::read_id)
}

/// Reads a user's state in a room.
pub(in super::super) fn membership(
    tables: &Tables,
    MembershipKey { room, user }: &MembershipKey,
) -> Result<Option<Membership>, ReadError> {
    let key = keys::member(room, user);
    let state = member_state(tables, &key)?;
    Ok(state.map(|state| Membership { room: room.clone(), user: user.clone(), state }))
}

/// Reads a row of `members`.
pub(in super::super) fn member_state(
    tables: &Tables,
    key: &[u8],
) -> Result<Option<MemberState>, ReadError> {
    let row = tables.rooms.members.get(key)?;
    row.map(|row| row::read_member(&row).map_err(|defect| corrupt("members", key, &defect)))
        .transpose()
}

/// Reads a page of a room's members. It checks whether one more row follows, but does not read its
/// content.
pub(in super::super) fn members(
    tables: &Tables,
    MembersQuery { room, after, limit }: &MembersQuery,
) -> Result<MembersPage, ReadError> {
    let mut rows = tables.rooms.members.range(keys::members(room, after.as_ref()));
    let mut page = MembersPage::default();
    let mut last = None;
    for row in rows.by_ref().take((*limit).max(1)) {
        let member = member(room, row)?;
        last = Some(member.user.clone());
        page.members.extend(member.is_inside().then_some(member));
    }
    page.next = last.filter(|_| rows.next().is_some());
    Ok(page)
}

fn member(room: &RoomId, row: Guard) -> Result<Membership, ReadError> {
    let (key, value) = row.into_inner()?;
    keys::member_of(room, &key)
        .ok_or(Defect::Key { part: "user" })
        .and_then(|user| {
            let state = row::read_member(&value)?;
            Ok(Membership { room: room.clone(), user, state })
        })
        .map_err(|defect| corrupt("members", &key, &defect))
}

/// Reads the first rooms that a user is or was in.
pub(in super::super) fn memberships(
    tables: &Tables,
    MembershipsQuery { user, limit }: &MembershipsQuery,
) -> Result<Vec<Membership>, ReadError> {
    let prefix = keys::rooms_of(user);
    let rows = tables.memberships.prefix(&prefix).take(*limit);
    rows.map(|row| membership_of(user, prefix.len(), row)).collect()
}

fn membership_of(user: &UserId, prefix_bytes: usize, row: Guard) -> Result<Membership, ReadError> {
    let (key, value) = row.into_inner()?;
    std::str::from_utf8(&key[prefix_bytes..])
        .ok()
        .and_then(|room| RoomId::parse(room).ok())
        .ok_or(Defect::Key { part: "room" })
        .and_then(|room| {
            let state = row::read_membership(&value)?;
            Ok(Membership { room, user: user.clone(), state })
        })
        .map_err(|defect| corrupt("memberships", &key, &defect))
}
