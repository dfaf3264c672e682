//! The rows of registers: rooms, members, marks and nonces.

use super::{Defect, VERSION, take, take_byte, take_user, versioned};
use crate::domain::{Membership, MessageId, Past, Role, Room, RoomId, UserId};
use crate::store::NonceRecord;

const KIND_DIRECT: u8 = 1;
const KIND_ROOM: u8 = 2;

const PAST_ALL: u8 = 1;
const PAST_JOINED: u8 = 2;

const OUT: u8 = 0;
const IN: u8 = 1;

const ROLE_OWNER: u8 = 1;
const ROLE_MEMBER: u8 = 2;

const UNTITLED: u8 = 0;
const TITLED: u8 = 1;

const ID_BYTES: usize = 16;

/// A row that holds nothing but an id: of `activity`, `heads` and `reads`.
pub(in super::super) fn id(id: MessageId) -> [u8; 1 + ID_BYTES] {
    let mut row = [VERSION; 1 + ID_BYTES];
    row[1..].copy_from_slice(&id.to_bytes());
    row
}

/// The id of a row that holds nothing else.
pub(in super::super) fn read_id(row: &[u8]) -> Result<MessageId, Defect> {
    let id = versioned(row)?.try_into().map_err(|_| Defect::Id)?;
    MessageId::from_bytes(id).ok_or(Defect::Id)
}

/// The id right behind the version, by which of two rows of a register one stays.
pub(in super::super) fn rank(row: &[u8]) -> Result<MessageId, Defect> {
    take_id(&mut versioned(row)?, "id")
}

/// The row of a membership of a direct conversation, which nothing ever ends.
pub(in super::super) const fn direct_membership() -> [u8; 2] {
    [VERSION, KIND_DIRECT]
}

/// A row of `rooms`.
pub(in super::super) fn room(room: &Room) -> Vec<u8> {
    let (creator, title) = (room.creator.as_str().as_bytes(), room.title.as_deref());
    let mut row = vec![VERSION];
    row.extend_from_slice(&room.stamp.to_bytes());
    row.extend_from_slice(&room.created.to_bytes());
    row.push(match room.past {
        Past::All => PAST_ALL,
        Past::Joined => PAST_JOINED,
    });
    row.push(creator.len() as u8);
    row.extend_from_slice(creator);
    row.push(if title.is_some() { TITLED } else { UNTITLED });
    row.extend_from_slice(title.unwrap_or_default().as_bytes());
    row
}

/// The room of a row.
pub(in super::super) fn read_room(id: &RoomId, row: &[u8]) -> Result<Room, Defect> {
    let mut rest = versioned(row)?;
    Ok(Room {
        id: id.clone(),
        stamp: take_id(&mut rest, "stamp")?,
        created: take_id(&mut rest, "time of creation")?,
        past: match take_byte(&mut rest, "past")? {
            PAST_ALL => Past::All,
            PAST_JOINED => Past::Joined,
            found => return Err(Defect::Byte { part: "past", found }),
        },
        creator: take_user(&mut rest, "creator")?,
        title: take_title(rest)?,
    })
}

fn take_title(mut rest: &[u8]) -> Result<Option<Box<str>>, Defect> {
    match take_byte(&mut rest, "title")? {
        UNTITLED => at_end(rest).map(|()| None),
        TITLED => std::str::from_utf8(rest)
            .map(|title| Some(title.into()))
            .map_err(|error| Defect::Text { part: "title", error }),
        found => Err(Defect::Byte { part: "title", found }),
    }
}

/// A row of `members`.
pub(in super::super) fn member(membership: &Membership) -> Vec<u8> {
    stated(vec![VERSION], membership)
}

/// A row of `memberships` that says the same.
pub(in super::super) fn membership(membership: &Membership) -> Vec<u8> {
    stated(vec![VERSION, KIND_ROOM], membership)
}

fn stated(mut row: Vec<u8>, membership: &Membership) -> Vec<u8> {
    row.extend_from_slice(&membership.stamp.to_bytes());
    row.extend_from_slice(&membership.joined.to_bytes());
    row.push(if membership.inside { IN } else { OUT });
    row.push(match membership.role {
        Role::Owner => ROLE_OWNER,
        Role::Member => ROLE_MEMBER,
    });
    row
}

/// The membership of a row of `members`.
pub(in super::super) fn read_member(
    room: RoomId,
    user: UserId,
    row: &[u8],
) -> Result<Membership, Defect> {
    read_stated(room, user, versioned(row)?)
}

/// The membership of a row of `memberships`.
pub(in super::super) fn read_membership(
    room: RoomId,
    user: UserId,
    row: &[u8],
) -> Result<Membership, Defect> {
    let mut rest = versioned(row)?;
    match take_byte(&mut rest, "kind")? {
        KIND_ROOM => read_stated(room, user, rest),
        found => Err(Defect::Byte { part: "kind", found }),
    }
}

fn read_stated(room: RoomId, user: UserId, mut rest: &[u8]) -> Result<Membership, Defect> {
    let membership = Membership {
        room,
        user,
        stamp: take_id(&mut rest, "stamp")?,
        joined: take_id(&mut rest, "time of joining")?,
        inside: match take_byte(&mut rest, "state")? {
            OUT => false,
            IN => true,
            found => return Err(Defect::Byte { part: "state", found }),
        },
        role: match take_byte(&mut rest, "role")? {
            ROLE_OWNER => Role::Owner,
            ROLE_MEMBER => Role::Member,
            found => return Err(Defect::Byte { part: "role", found }),
        },
    };
    at_end(rest).map(|()| membership)
}

/// A row of `sends`.
pub(in super::super) fn nonce(record: &NonceRecord) -> [u8; 1 + 2 * ID_BYTES] {
    let mut row = [VERSION; 1 + 2 * ID_BYTES];
    row[1..=ID_BYTES].copy_from_slice(&record.id.to_bytes());
    row[1 + ID_BYTES..].copy_from_slice(&record.content.to_be_bytes());
    row
}

/// What a row of `sends` says was sent.
pub(in super::super) fn read_nonce(row: &[u8]) -> Result<NonceRecord, Defect> {
    let mut rest = versioned(row)?;
    let id = take_id(&mut rest, "id")?;
    let content = u128::from_be_bytes(take_chunk(&mut rest, "hash of the content")?);
    at_end(rest).map(|()| NonceRecord { id, content })
}

fn take_id(rest: &mut &[u8], part: &'static str) -> Result<MessageId, Defect> {
    MessageId::from_bytes(take_chunk(rest, part)?).ok_or(Defect::Id)
}

fn take_chunk(rest: &mut &[u8], part: &'static str) -> Result<[u8; ID_BYTES], Defect> {
    let chunk = take(rest, ID_BYTES as u8, part)?;
    chunk.try_into().map_err(|_| Defect::Short { part })
}

fn at_end(rest: &[u8]) -> Result<(), Defect> {
    if rest.is_empty() { Ok(()) } else { Err(Defect::Trailing { bytes: rest.len() }) }
}
