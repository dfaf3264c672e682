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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;
    use proptest::prelude::*;

    const STAMP: MessageId = MessageId::first_of(Micros(0x0198_0000_0000 * 1000));
    const CREATED: MessageId = MessageId::first_of(Micros(0x0197_0000_0000 * 1000));

    /// `STAMP` and `CREATED` as they stand in rows.
    const STAMP_BYTES: &[u8] = b"\x01\x98\0\0\0\0\x70\0\x80\0\0\0\0\0\0\0";
    const CREATED_BYTES: &[u8] = b"\x01\x97\0\0\0\0\x70\0\x80\0\0\0\0\0\0\0";

    fn room_id() -> RoomId {
        RoomId::parse("lobby").unwrap()
    }

    fn bob() -> UserId {
        UserId::parse("bob").unwrap()
    }

    fn a_room(title: Option<&str>, past: Past) -> Room {
        let (id, creator, title) = (room_id(), bob(), title.map(Into::into));
        Room { id, title, creator, past, created: CREATED, stamp: STAMP }
    }

    fn a_member(inside: bool, role: Role) -> Membership {
        Membership { room: room_id(), user: bob(), inside, role, joined: CREATED, stamp: STAMP }
    }

    fn expected(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn the_layout_is_fixed() {
        let ids = expected(&[b"\x01", STAMP_BYTES, CREATED_BYTES]);
        let row = room(&a_room(None, Past::All));
        assert_eq!(row, expected(&[&ids, b"\x01\x03bob\0"]));
        let row = room(&a_room(Some("Caf\u{e9}"), Past::Joined));
        assert_eq!(row, expected(&[&ids, b"\x02\x03bob\x01Caf\xC3\xA9"]));
        assert_eq!(member(&a_member(true, Role::Owner)), expected(&[&ids, b"\x01\x01"]));
        assert_eq!(member(&a_member(false, Role::Member)), expected(&[&ids, b"\0\x02"]));
        let row = membership(&a_member(true, Role::Member));
        assert_eq!(row, expected(&[b"\x01\x02", &ids[1..], b"\x01\x02"]));
        assert_eq!(direct_membership(), [1, 1]);
        assert_eq!(id(STAMP)[..], expected(&[b"\x01", STAMP_BYTES]));
        let row = nonce(&NonceRecord { id: STAMP, content: 0xABCD });
        let hash = [[0; 14].as_slice(), b"\xAB\xCD"].concat();
        assert_eq!(row[..], expected(&[b"\x01", STAMP_BYTES, &hash]));
    }

    #[test]
    fn an_empty_title_is_not_none() {
        for title in [None, Some("")] {
            let untold = a_room(title, Past::All);
            assert_eq!(read_room(&room_id(), &room(&untold)), Ok(untold));
        }
    }

    #[test]
    fn defects_of_a_room_say_what_is_wrong() {
        let ids = expected(&[b"\x01", STAMP_BYTES, CREATED_BYTES]);
        let read = |tail: &[u8]| read_room(&room_id(), &expected(&[&ids, tail])).unwrap_err();
        assert_eq!(read_room(&room_id(), b""), Err(Defect::Short { part: "version" }));
        assert_eq!(read_room(&room_id(), b"\x03"), Err(Defect::Version { found: 3 }));
        assert_eq!(read_room(&room_id(), &[1; 9]), Err(Defect::Short { part: "stamp" }));
        assert_eq!(read_room(&room_id(), &[1; 40]), Err(Defect::Id));
        assert_eq!(read(b""), Defect::Short { part: "past" });
        assert_eq!(read(b"\x03"), Defect::Byte { part: "past", found: 3 });
        assert_eq!(read(b"\x01\x04bob"), Defect::Short { part: "creator" });
        assert!(matches!(read(b"\x01\x03b.b\0"), Defect::User { part: "creator", .. }));
        assert_eq!(read(b"\x01\x03bob\x02"), Defect::Byte { part: "title", found: 2 });
        assert_eq!(read(b"\x01\x03bob\0x"), Defect::Trailing { bytes: 1 });
        assert!(matches!(read(b"\x01\x03bob\x01\xFF"), Defect::Text { part: "title", .. }));
    }

    #[test]
    fn defects_of_a_membership_and_a_nonce_say_what_is_wrong() {
        let ids = expected(&[b"\x01", STAMP_BYTES, CREATED_BYTES]);
        let read =
            |tail: &[u8]| read_member(room_id(), bob(), &expected(&[&ids, tail])).unwrap_err();
        assert_eq!(read(b""), Defect::Short { part: "state" });
        assert_eq!(read(b"\x02\x01"), Defect::Byte { part: "state", found: 2 });
        assert_eq!(read(b"\x01\x03"), Defect::Byte { part: "role", found: 3 });
        assert_eq!(read(b"\x01\x01\x01\x01"), Defect::Trailing { bytes: 2 });
        let direct = read_membership(room_id(), bob(), &direct_membership());
        assert_eq!(direct, Err(Defect::Byte { part: "kind", found: 1 }));
        assert_eq!(read_nonce(&ids[..20]), Err(Defect::Short { part: "hash of the content" }));
        assert_eq!(
            read_nonce(&[&ids, b"x".as_slice()].concat()),
            Err(Defect::Trailing { bytes: 1 })
        );
        assert_eq!(rank(&ids[..16]), Err(Defect::Short { part: "id" }));
    }

    fn an_id() -> impl Strategy<Value = MessageId> {
        (0..1_u64 << 50, any::<u64>())
            .prop_map(|(time, random)| MessageId::new(Micros(time), random))
    }

    proptest! {
        #[test]
        fn rows_give_back_what_was_written_and_begin_with_their_rank(
            (stamp, other) in (an_id(), an_id()),
            title in prop::option::of(".{0,20}"),
            (all, inside, owner) in any::<(bool, bool, bool)>(),
            content: u128,
        ) {
            let past = if all { Past::All } else { Past::Joined };
            let written = Room { stamp, created: other, ..a_room(title.as_deref(), past) };
            let row = room(&written);
            prop_assert_eq!(rank(&row), Ok(stamp));
            prop_assert_eq!(read_room(&room_id(), &row), Ok(written));

            let role = if owner { Role::Owner } else { Role::Member };
            let said = Membership { stamp, joined: other, ..a_member(inside, role) };
            prop_assert_eq!(rank(&member(&said)), Ok(stamp));
            prop_assert_eq!(read_member(room_id(), bob(), &member(&said)), Ok(said.clone()));
            prop_assert_eq!(read_membership(room_id(), bob(), &membership(&said)), Ok(said));

            let record = NonceRecord { id: stamp, content };
            prop_assert_eq!(rank(&nonce(&record)), Ok(stamp));
            prop_assert_eq!(read_nonce(&nonce(&record)), Ok(record));
            prop_assert_eq!(rank(&id(stamp)), Ok(stamp));
            prop_assert_eq!(read_id(&id(stamp)), Ok(stamp));
        }

        #[test]
        fn any_row_is_answered(mut row: Vec<u8>, tail in prop::collection::vec(0..4_u8, 0..20), deep: bool) {
            if deep {
                row = [b"\x01", STAMP_BYTES, CREATED_BYTES, &tail].concat();
            }
            let _: Result<Room, Defect> = read_room(&room_id(), &row);
            let _: Result<Membership, Defect> = read_member(room_id(), bob(), &row);
            let _: Result<Membership, Defect> = read_membership(room_id(), bob(), &row);
            let _: Result<NonceRecord, Defect> = read_nonce(&row);
            let _: Result<MessageId, Defect> = rank(&row);
        }
    }
}
