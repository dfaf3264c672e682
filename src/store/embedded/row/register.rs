//! The rows of registers: rooms, members, marks and nonces.

use super::{Defect, VERSION, take, take_byte, take_user, versioned};
use crate::domain::{
    Adder, HistoryVisibility, MemberRole, MemberState, MessageId, ROOM_DATA_BYTES_MAX, Room, RoomId,
};
use crate::store::IdempotencyRecord;

const KIND_DIRECT: u8 = 1;
const KIND_ROOM: u8 = 2;

const PAST_ALL: u8 = 1;
const PAST_JOINED: u8 = 2;

const ROLE_OWNER: u8 = 1;
const ROLE_MEMBER: u8 = 2;

const UNTITLED: u8 = 0;
const TITLED: u8 = 1;
const UNTITLED_WITH_DATA: u8 = 2;
const TITLED_WITH_DATA: u8 = 3;

const _: () = assert!(ROOM_DATA_BYTES_MAX <= u16::MAX as usize, "its length must fit its bytes");

const ID_BYTES: usize = 16;

/// A row that holds only an id: of `activity`, `heads` and `reads`.
pub(in super::super) fn id(id: MessageId) -> [u8; 1 + ID_BYTES] {
    let mut row = [VERSION; 1 + ID_BYTES];
    row[1..].copy_from_slice(&id.to_bytes());
    row
}

/// The id of a row that holds only an id.
pub(in super::super) fn read_id(row: &[u8]) -> Result<MessageId, Defect> {
    let id = versioned(row)?.try_into().map_err(|_| Defect::Id)?;
    MessageId::from_bytes(id).ok_or(Defect::Id)
}

/// The id directly behind the version. Of two rows of a register, it decides which one stays.
pub(in super::super) fn rank(row: &[u8]) -> Result<MessageId, Defect> {
    take_id(&mut versioned(row)?, "id")
}

/// The row of a membership of a direct conversation, which never ends.
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
        HistoryVisibility::All => PAST_ALL,
        HistoryVisibility::Joined => PAST_JOINED,
    });
    row.push(creator.len() as u8);
    row.extend_from_slice(creator);
    row.push(match (&room.data, title) {
        (None, None) => UNTITLED,
        (None, Some(_)) => TITLED,
        (Some(_), None) => UNTITLED_WITH_DATA,
        (Some(_), Some(_)) => TITLED_WITH_DATA,
    });
    if let Some(data) = &room.data {
        row.extend_from_slice(&(data.len() as u16).to_be_bytes());
        row.extend_from_slice(data.as_bytes());
    }
    row.extend_from_slice(title.unwrap_or_default().as_bytes());
    row
}

/// The room of a row.
pub(in super::super) fn read_room(id: &RoomId, row: &[u8]) -> Result<Room, Defect> {
    let mut rest = versioned(row)?;
    let stamp = take_id(&mut rest, "stamp")?;
    let created = take_id(&mut rest, "time of creation")?;
    let past = match take_byte(&mut rest, "past")? {
        PAST_ALL => HistoryVisibility::All,
        PAST_JOINED => HistoryVisibility::Joined,
        found => return Err(Defect::Byte { part: "past", found }),
    };
    let creator = take_user(&mut rest, "creator")?;
    let (title, data) = take_title_and_data(rest)?;
    Ok(Room { id: id.clone(), title, data, creator, past, created, stamp })
}

type Texts = (Option<Box<str>>, Option<Box<str>>);

fn take_title_and_data(mut rest: &[u8]) -> Result<Texts, Defect> {
    let (titled, with_data) = match take_byte(&mut rest, "title")? {
        UNTITLED => (false, false),
        TITLED => (true, false),
        UNTITLED_WITH_DATA => (false, true),
        TITLED_WITH_DATA => (true, true),
        found => return Err(Defect::Byte { part: "title", found }),
    };
    let data = if with_data { Some(take_data(&mut rest)?) } else { None };
    if !titled {
        return at_end(rest).map(|()| (None, data));
    }
    let title = text(rest, "title")?;
    Ok((Some(title), data))
}

fn take_data(rest: &mut &[u8]) -> Result<Box<str>, Defect> {
    let short = Defect::Short { part: "data" };
    let Some((length, tail)) = rest.split_first_chunk() else { return Err(short) };
    let bytes = u16::from_be_bytes(*length).into();
    let Some((data, tail)) = tail.split_at_checked(bytes) else { return Err(short) };
    *rest = tail;
    text(data, "data")
}

fn text(bytes: &[u8], part: &'static str) -> Result<Box<str>, Defect> {
    let text = std::str::from_utf8(bytes).map_err(|error| Defect::Text { part, error })?;
    Ok(text.into())
}

/// A row of `members`.
pub(in super::super) fn member(state: &MemberState) -> Vec<u8> {
    with_state(vec![VERSION], state)
}

/// A row of `memberships` with the same state.
pub(in super::super) fn membership(state: &MemberState) -> Vec<u8> {
    with_state(vec![VERSION, KIND_ROOM], state)
}

fn with_state(mut row: Vec<u8>, state: &MemberState) -> Vec<u8> {
    let MemberState { added, removed, joined_after, joined, role, adder, role_stamp } = state;
    for stamp in [added, removed, joined_after, joined, role_stamp] {
        row.extend_from_slice(&stamp.to_bytes());
    }
    row.push(match role {
        MemberRole::Owner => ROLE_OWNER,
        MemberRole::Member => ROLE_MEMBER,
    });
    if *adder != Adder::SERVICE {
        row.extend_from_slice(&adder.bits().to_be_bytes());
    }
    row
}

/// Reads a row of `members`.
pub(in super::super) fn read_member(row: &[u8]) -> Result<MemberState, Defect> {
    read_state(versioned(row)?)
}

/// Reads a row of `memberships` of a room.
pub(in super::super) fn read_membership(row: &[u8]) -> Result<MemberState, Defect> {
    let mut rest = versioned(row)?;
    match take_byte(&mut rest, "kind")? {
        KIND_ROOM => read_state(rest),
        found => Err(Defect::Byte { part: "kind", found }),
    }
}

fn read_state(mut rest: &[u8]) -> Result<MemberState, Defect> {
    let state = MemberState {
        added: take_id(&mut rest, "stamp of the add")?,
        removed: take_id(&mut rest, "stamp of the removal")?,
        joined_after: take_id(&mut rest, "removal before the joining")?,
        joined: take_id(&mut rest, "stamp of the joining")?,
        role_stamp: take_id(&mut rest, "stamp of the role")?,
        role: match take_byte(&mut rest, "role")? {
            ROLE_OWNER => MemberRole::Owner,
            ROLE_MEMBER => MemberRole::Member,
            found => return Err(Defect::Byte { part: "role", found }),
        },
        adder: take_adder(&mut rest)?,
    };
    at_end(rest).map(|()| state)
}

/// The adder of a membership; a service if the row ends here.
fn take_adder(rest: &mut &[u8]) -> Result<Adder, Defect> {
    if rest.is_empty() {
        return Ok(Adder::SERVICE);
    }
    Ok(Adder::from_bits(u64::from_be_bytes(take_chunk(rest, "adder")?)))
}

/// A row of `sends`.
pub(in super::super) fn nonce(record: &IdempotencyRecord) -> [u8; 1 + 2 * ID_BYTES] {
    let mut row = [VERSION; 1 + 2 * ID_BYTES];
    row[1..=ID_BYTES].copy_from_slice(&record.id.to_bytes());
    row[1 + ID_BYTES..].copy_from_slice(&record.content.to_be_bytes());
    row
}

/// Reads a row of `sends`.
pub(in super::super) fn read_nonce(row: &[u8]) -> Result<IdempotencyRecord, Defect> {
    let mut rest = versioned(row)?;
    let id = take_id(&mut rest, "id")?;
    let content = u128::from_be_bytes(take_chunk(&mut rest, "hash of the content")?);
    at_end(rest).map(|()| IdempotencyRecord { id, content })
}

fn take_id(rest: &mut &[u8], part: &'static str) -> Result<MessageId, Defect> {
    MessageId::from_bytes(take_chunk(rest, part)?).ok_or(Defect::Id)
}

fn take_chunk<const BYTES: usize>(
    rest: &mut &[u8],
    part: &'static str,
) -> Result<[u8; BYTES], Defect> {
    let chunk = take(rest, BYTES as u8, part)?;
    chunk.try_into().map_err(|_| Defect::Short { part })
}

fn at_end(rest: &[u8]) -> Result<(), Defect> {
    if rest.is_empty() { Ok(()) } else { Err(Defect::Trailing { bytes: rest.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, UserId};
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

    fn a_room(title: Option<&str>, past: HistoryVisibility) -> Room {
        let (id, creator, title) = (room_id(), bob(), title.map(Into::into));
        Room { id, title, data: None, creator, past, created: CREATED, stamp: STAMP }
    }

    fn a_member(role: MemberRole) -> MemberState {
        MemberState {
            added: STAMP,
            removed: CREATED,
            joined_after: CREATED,
            joined: STAMP,
            role,
            adder: Adder::SERVICE,
            role_stamp: CREATED,
        }
    }

    fn expected(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn the_layout_is_fixed() {
        let ids = expected(&[b"\x01", STAMP_BYTES, CREATED_BYTES]);
        let row = room(&a_room(None, HistoryVisibility::All));
        assert_eq!(row, expected(&[&ids, b"\x01\x03bob\0"]));
        let row = room(&a_room(Some("Caf\u{e9}"), HistoryVisibility::Joined));
        assert_eq!(row, expected(&[&ids, b"\x02\x03bob\x01Caf\xC3\xA9"]));
        let kept =
            |title| Room { data: Some("[1]".into()), ..a_room(title, HistoryVisibility::All) };
        let row = room(&kept(None));
        assert_eq!(row, expected(&[&ids, b"\x01\x03bob\x02\0\x03[1]"]));
        let row = room(&kept(Some("T")));
        assert_eq!(row, expected(&[&ids, b"\x01\x03bob\x03\0\x03[1]T"]));
        let stamps = [STAMP_BYTES, CREATED_BYTES, CREATED_BYTES, STAMP_BYTES, CREATED_BYTES];
        let stamps = expected(&stamps);
        assert_eq!(member(&a_member(MemberRole::Owner)), expected(&[b"\x01", &stamps, b"\x01"]));
        let row = membership(&a_member(MemberRole::Member));
        assert_eq!(row, expected(&[b"\x01\x02", &stamps, b"\x02"]));
        let by_user =
            MemberState { adder: Adder::from_bits(0xABCD), ..a_member(MemberRole::Member) };
        let row = member(&by_user);
        assert_eq!(row, expected(&[b"\x01", &stamps, b"\x02\0\0\0\0\0\0\xAB\xCD"]));
        assert_eq!(direct_membership(), [1, 1]);
        assert_eq!(id(STAMP)[..], expected(&[b"\x01", STAMP_BYTES]));
        let row = nonce(&IdempotencyRecord { id: STAMP, content: 0xABCD });
        let hash = [[0; 14].as_slice(), b"\xAB\xCD"].concat();
        assert_eq!(row[..], expected(&[b"\x01", STAMP_BYTES, &hash]));
    }

    #[test]
    fn an_empty_title_is_not_none() {
        for title in [None, Some("")] {
            let untold = a_room(title, HistoryVisibility::All);
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
        assert_eq!(read(b"\x01\x03bob\x04"), Defect::Byte { part: "title", found: 4 });
        assert_eq!(read(b"\x01\x03bob\x02\0"), Defect::Short { part: "data" });
        assert_eq!(read(b"\x01\x03bob\x02\0\x02["), Defect::Short { part: "data" });
        assert_eq!(read(b"\x01\x03bob\x02\0\x01[x"), Defect::Trailing { bytes: 1 });
        assert_eq!(read(b"\x01\x03bob\0x"), Defect::Trailing { bytes: 1 });
        assert!(matches!(read(b"\x01\x03bob\x01\xFF"), Defect::Text { part: "title", .. }));
    }

    #[test]
    fn defects_of_a_membership_and_a_nonce_say_what_is_wrong() {
        let ids = expected(&[b"\x01", STAMP_BYTES, CREATED_BYTES]);
        let stamps = expected(&[&ids, STAMP_BYTES, CREATED_BYTES]);
        let read = |tail: &[u8]| read_member(&expected(&[&stamps, tail])).unwrap_err();
        assert_eq!(read(b""), Defect::Short { part: "stamp of the role" });
        assert_eq!(read(STAMP_BYTES), Defect::Short { part: "role" });
        let byte = |tail: &[u8]| read(&expected(&[STAMP_BYTES, tail]));
        assert_eq!(byte(b"\x03"), Defect::Byte { part: "role", found: 3 });
        assert_eq!(byte(b"\x01\x01\x01"), Defect::Short { part: "adder" });
        assert_eq!(byte(&[1; 10]), Defect::Trailing { bytes: 1 });
        let direct = read_membership(&direct_membership());
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
            data in prop::option::of(".{0,400}"),
            (all, owner) in any::<(bool, bool)>(),
            (content, adder) in any::<(u128, u64)>(),
        ) {
            let past = if all { HistoryVisibility::All } else { HistoryVisibility::Joined };
            let data = data.map(Into::into);
            let written = Room { stamp, created: other, data, ..a_room(title.as_deref(), past) };
            let row = room(&written);
            prop_assert_eq!(rank(&row), Ok(stamp));
            prop_assert_eq!(read_room(&room_id(), &row), Ok(written));

            let role = if owner { MemberRole::Owner } else { MemberRole::Member };
            let adder = Adder::from_bits(adder);
            let said = MemberState { removed: stamp, joined: other, adder, ..a_member(role) };
            prop_assert_eq!(read_member(&member(&said)), Ok(said));
            prop_assert_eq!(read_membership(&membership(&said)), Ok(said));

            let record = IdempotencyRecord { id: stamp, content };
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
            let _: Result<MemberState, Defect> = read_member(&row);
            let _: Result<MemberState, Defect> = read_membership(&row);
            let _: Result<IdempotencyRecord, Defect> = read_nonce(&row);
            let _: Result<MessageId, Defect> = rank(&row);
        }
    }
}
