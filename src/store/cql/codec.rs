//! The format of cells that hold more than one value.
//!
//! | table, cell | format |
//! | --- | --- |
//! | members, memberships `added`, `removed` | the stamp |
//! | members, memberships `joined` | `<the removal that it follows> <the stamp, each bit inverted>` |
//! | members, memberships `role` | `<stamp> owner\|member`, and of a user's add ` <adder>` |
//! | memberships `kind` | of a direct conversation `dm` |
//! | rooms `room` | `<stamp> {"title":…,"data":…,"creator":…,"past":…,"created":…}` |
//! | sends `record` | id of the message (16 bytes), hash of its content (16 bytes, big-endian) |
//!
//! Stamps and ids in texts are 32 hexadecimal digits, so that texts sort as the stamps do. Of two
//! writes with equal timestamps to one cell without a TTL the larger value stays, which is that of
//! the larger stamp.
//!
//! Each register of a membership is a cell of its own and merges by itself, as defined at
//! [`MemberState`]. `added`, `removed` and `role` are written at the time of their stamp. `joined`
//! is written one microsecond above the removal that it follows, so the one that follows a later
//! removal wins. Of two that follow the same removal the larger text stays, which is that of the
//! *smaller* stamp.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{
    Adder, HistoryVisibility, MemberRole, MemberState, MessageId, NEVER, Room, RoomId, UserId,
};
use crate::store::IdempotencyRecord;

/// The kind of a direct conversation.
pub(super) const DIRECT: &str = "dm";

const DIGITS: usize = 32;

/// Hexadecimal digits of an adder.
const ADDER_DIGITS: usize = 16;

/// A cell does not have this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is malformed")]
pub(super) struct Misspelt(&'static str);

/// The JSON in `rooms` behind the stamp.
#[derive(Serialize, Deserialize)]
struct RoomText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    creator: std::borrow::Cow<'a, str>,
    past: HistoryVisibility,
    created: std::borrow::Cow<'a, str>,
}

fn spell(id: MessageId) -> String {
    format!("{:032x}", u128::from_be_bytes(id.to_bytes()))
}

fn read(text: &str) -> Option<MessageId> {
    MessageId::from_bytes(digits(text)?.to_be_bytes())
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

fn digits(text: &str) -> Option<u128> {
    (text.len() == DIGITS && text.bytes().all(is_digit))
        .then(|| u128::from_str_radix(text, 16).ok())?
}

/// The cell `joined`; none if the user was never added.
pub(super) fn joined(state: &MemberState) -> Option<String> {
    let MemberState { joined_after, joined, .. } = state;
    let turned = !u128::from_be_bytes(joined.to_bytes());
    (*joined != NEVER).then(|| format!("{} {turned:032x}", spell(*joined_after)))
}

fn read_joined(text: &str) -> Result<(MessageId, MessageId), Misspelt> {
    let parts = (|| {
        let (after, turned) = text.split_once(' ')?;
        let turned = (!digits(turned)?).to_be_bytes();
        Some((read(after)?, MessageId::from_bytes(turned)?))
    })();
    parts.ok_or(Misspelt("joined"))
}

/// The cell `role`; none if it was never set.
pub(super) fn role(state: &MemberState) -> Option<String> {
    let MemberState { role, adder, role_stamp, .. } = state;
    let by = |adder: &Adder| format!(" {:016x}", adder.bits());
    let by = Some(adder).filter(|adder| **adder != Adder::SERVICE).map(by).unwrap_or_default();
    (*role_stamp != NEVER).then(|| format!("{} {}{by}", spell(*role_stamp), role.as_str()))
}

fn read_role(text: &str) -> Result<(MemberRole, Adder, MessageId), Misspelt> {
    let parts = (|| {
        let (stamp, said) = text.split_once(' ')?;
        let (role, adder) = match said.split_once(' ') {
            Some((role, adder)) => (role, read_adder(adder)?),
            None => (said, Adder::SERVICE),
        };
        Some((MemberRole::named(role)?, adder, read(stamp)?))
    })();
    parts.ok_or(Misspelt("role"))
}

fn read_adder(text: &str) -> Option<Adder> {
    let is_spelled = text.len() == ADDER_DIGITS && text.bytes().all(is_digit);
    is_spelled.then(|| u64::from_str_radix(text, 16).ok().map(Adder::from_bits))?
}

/// The cells of a membership in the order of their reads: `added`, `removed`, `joined`, `role`.
pub(super) type StateCells<'a> = (Option<Uuid>, Option<Uuid>, Option<&'a str>, Option<&'a str>);

/// Reads the cells of a membership.
pub(super) fn read_state(
    (added, removed, joined, role): StateCells<'_>,
) -> Result<MemberState, Misspelt> {
    let stamp = |name, cell: Option<Uuid>| {
        let id = |cell: Uuid| MessageId::from_bytes(cell.into_bytes()).ok_or(Misspelt(name));
        cell.map_or(Ok(NEVER), id)
    };
    let mut state = MemberState {
        added: stamp("added", added)?,
        removed: stamp("removed", removed)?,
        ..MemberState::UNKNOWN
    };
    if let Some(text) = joined {
        (state.joined_after, state.joined) = read_joined(text)?;
    }
    if let Some(text) = role {
        (state.role, state.adder, state.role_stamp) = read_role(text)?;
    }
    Ok(state)
}

/// The cell of a room.
pub(super) fn room(room: &Room) -> String {
    let created = spell(room.created);
    let text = RoomText {
        title: room.title.as_deref().map(Into::into),
        data: room.data.as_deref().and_then(|data| RawValue::from_string(data.into()).ok()),
        creator: room.creator.as_str().into(),
        past: room.past,
        created: created.into(),
    };
    let json = serde_json::to_string(&text).expect("texts are JSON");
    format!("{} {json}", spell(room.stamp))
}

/// Reads the room of a cell.
pub(super) fn read_room(id: RoomId, text: &str) -> Result<Room, Misspelt> {
    let room = (|| {
        let (stamp, json) = text.split_once(' ')?;
        let RoomText { title, data, creator, past, created } = serde_json::from_str(json).ok()?;
        Some(Room {
            id,
            title: title.map(|title| title.into_owned().into()),
            data: data.map(|data| data.get().into()),
            creator: UserId::parse(&creator).ok()?,
            past,
            created: read(&created)?,
            stamp: read(stamp)?,
        })
    })();
    room.ok_or(Misspelt("room"))
}

/// The cell of what was sent under a nonce.
pub(super) fn record(record: &IdempotencyRecord) -> [u8; 32] {
    let mut cell = [0; 32];
    cell[..16].copy_from_slice(&record.id.to_bytes());
    cell[16..].copy_from_slice(&record.content.to_be_bytes());
    cell
}

/// Reads the record of a cell.
pub(super) fn read_record(cell: &[u8]) -> Result<IdempotencyRecord, Misspelt> {
    let record = (|| {
        let (id, content) = cell.split_at_checked(16)?;
        let id = MessageId::from_bytes(id.try_into().ok()?)?;
        Some(IdempotencyRecord { id, content: u128::from_be_bytes(content.try_into().ok()?) })
    })();
    record.ok_or(Misspelt("record"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;
    use proptest::prelude::*;

    fn id(time: u64, random: u64) -> MessageId {
        MessageId::new(Micros(time), random)
    }

    fn uuid(id: MessageId) -> Option<Uuid> {
        (id != NEVER).then(|| Uuid::from_bytes(id.to_bytes()))
    }

    fn back(state: &MemberState) -> Result<MemberState, Misspelt> {
        let (joined, role) = (joined(state), role(state));
        read_state((uuid(state.added), uuid(state.removed), joined.as_deref(), role.as_deref()))
    }

    #[test]
    fn the_spelling_is_fixed() {
        let one = id(1_795_492_901_650_123, 42);
        let state = MemberState::UNKNOWN.add(MemberRole::Owner, one);
        assert_eq!(role(&state).unwrap(), "01a20bb7731271f7800000000000002a owner");
        let by_user = MemberState { adder: Adder::from_bits(0xabcd), ..state };
        let spelled = "01a20bb7731271f7800000000000002a owner 000000000000abcd";
        assert_eq!(role(&by_user).unwrap(), spelled);
        assert_eq!(read_role(&spelled[..54]), Err(Misspelt("role")), "a digit is missing");
        let first = "00000000000070008000000000000000 fe5df4488ced8e087fffffffffffffd5";
        assert_eq!(joined(&state).unwrap(), first);
        for bad in ["dm", "", &first[1..], &first.to_uppercase(), &format!("{first} x")] {
            assert_eq!(read_joined(bad), Err(Misspelt("joined")), "{bad}");
            assert_eq!(read_role(bad), Err(Misspelt("role")), "{bad}");
        }
        assert_eq!((joined(&MemberState::UNKNOWN), role(&MemberState::UNKNOWN)), (None, None));
        assert_eq!(read_state((None, None, None, None)), Ok(MemberState::UNKNOWN));
        let other = Some(Uuid::from_u128(1));
        assert_eq!(read_state((other, None, None, None)), Err(Misspelt("added")));
        let room_id = RoomId::parse("r").unwrap();
        let named = Room {
            id: room_id.clone(),
            title: Some("Küche \"1\"".into()),
            data: None,
            creator: UserId::parse("alice").unwrap(),
            past: HistoryVisibility::Joined,
            created: id(0, 0),
            stamp: one,
        };
        assert_eq!(
            room(&named),
            "01a20bb7731271f7800000000000002a {\"title\":\"Küche \\\"1\\\"\",\"creator\":\"alice\",\
             \"past\":\"joined\",\"created\":\"00000000000070008000000000000000\"}"
        );
        assert_eq!(read_room(room_id.clone(), &room(&named)), Ok(named.clone()));
        let kept = Room { data: Some("{ \"a\" :[1]}".into()), ..named.clone() };
        assert!(room(&kept).contains(r#","data":{ "a" :[1]},"creator""#), "{}", room(&kept));
        assert_eq!(read_room(room_id.clone(), &room(&kept)), Ok(kept));
        let plain = Room { title: None, ..named };
        assert_eq!(read_room(room_id, &room(&plain)), Ok(plain));
    }

    proptest! {
        #[test]
        fn cells_give_back_what_was_spelled(
            (added, removed, after) in (0..1_u64 << 50, 0..1_u64 << 50, 0..1_u64 << 50),
            (joined, stamp, owner) in (1..1_u64 << 50, 1..1_u64 << 50, any::<bool>()),
            (random, content, adder) in (any::<u64>(), any::<u128>(), any::<u64>()),
        ) {
            let state = MemberState {
                added: id(added, 0),
                removed: id(removed, 0),
                joined_after: id(after, random),
                joined: id(joined, random),
                role: if owner { MemberRole::Owner } else { MemberRole::Member },
                adder: Adder::from_bits(adder),
                role_stamp: id(stamp, random),
            };
            prop_assert_eq!(back(&state), Ok(state));
            let note = IdempotencyRecord { id: id(stamp, random), content };
            prop_assert_eq!(read_record(&record(&note)), Ok(note));
        }

        /// What a server does with two writes of one timestamp is what a merge does.
        #[test]
        fn of_two_texts_the_larger_is_the_one_that_a_merge_keeps(
            times in prop::array::uniform4(1..4_u64), randoms in prop::array::uniform4(0..2_u64),
            said in prop::array::uniform2((any::<bool>(), 0..3_u64)),
        ) {
            let stamps: Vec<_> = times.iter().zip(randoms).map(|(time, x)| id(*time, x)).collect();
            let of = |after, stamp, (owner, adder): (bool, u64)| MemberState {
                joined_after: after,
                joined: stamp,
                role: if owner { MemberRole::Owner } else { MemberRole::Member },
                adder: Adder::from_bits(adder),
                role_stamp: stamp,
                ..MemberState::UNKNOWN
            };
            let one = of(stamps[0], stamps[1], said[0]);
            let two = of(stamps[2], stamps[3], said[1]);
            let merged = one.merge(two);
            prop_assert_eq!(joined(&one).max(joined(&two)), joined(&merged));
            prop_assert_eq!(role(&one).max(role(&two)), role(&merged));
        }

        #[test]
        fn any_cell_is_answered(text in ".{0,90}", bytes: Vec<u8>) {
            let _ = read_state((None, None, Some(&text), Some(&text)));
            let _ = read_room(RoomId::parse("r").unwrap(), &text);
            let _ = read_record(&bytes);
        }
    }
}
