//! How cells are spelled that hold more than one value.
//!
//! | table, cell | spelled |
//! | --- | --- |
//! | members, memberships `standing` | of a room `<stamp> in\|out owner\|member <joined>`; of a direct conversation `dm` |
//! | rooms `room` | `<stamp> {"title":…,"creator":…,"past":…,"created":…}` |
//! | sends `record` | id of the message (16 bytes), hash of its content (16 bytes, big-endian) |
//!
//! Stamps and ids in texts are 32 hexadecimal digits, so that texts sort as the stamps do. One cell
//! holds all that belongs together: two writes of one microsecond have equal timestamps, of two
//! cells each could then keep another one's, and of two values of one cell without a TTL the larger
//! stays: that of the larger stamp.

use serde::{Deserialize, Serialize};

use crate::domain::{Membership, MessageId, Past, Role, Room, RoomId, UserId};
use crate::store::NonceRecord;

/// The standing of the two of a direct conversation.
pub(super) const DIRECT: &str = "dm";

const DIGITS: usize = 32;

/// A cell is not spelled so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is not spelled as one")]
pub(super) struct Misspelt(&'static str);

/// What `rooms` says beside the stamp.
#[derive(Serialize, Deserialize)]
struct RoomText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<std::borrow::Cow<'a, str>>,
    creator: std::borrow::Cow<'a, str>,
    past: Past,
    created: std::borrow::Cow<'a, str>,
}

fn spell(id: MessageId) -> String {
    format!("{:032x}", u128::from_be_bytes(id.to_bytes()))
}

fn read(text: &str) -> Option<MessageId> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    let value = (digits && text.len() == DIGITS).then(|| u128::from_str_radix(text, 16).ok())??;
    MessageId::from_bytes(value.to_be_bytes())
}

/// A standing with a room.
pub(super) fn standing(membership: &Membership) -> String {
    let Membership { inside, role, joined, stamp, .. } = membership;
    let state = if *inside { "in" } else { "out" };
    format!("{} {state} {} {}", spell(*stamp), role.as_str(), spell(*joined))
}

/// The membership of a standing.
pub(super) fn read_standing(
    room: RoomId,
    user: UserId,
    text: &str,
) -> Result<Membership, Misspelt> {
    let mut parts = text.split(' ');
    let membership = (|| {
        let stamp = read(parts.next()?)?;
        let inside = match parts.next()? {
            "in" => true,
            "out" => false,
            _ => return None,
        };
        let role = match parts.next()? {
            "owner" => Role::Owner,
            "member" => Role::Member,
            _ => return None,
        };
        Some(Membership { room, user, inside, role, joined: read(parts.next()?)?, stamp })
    })();
    membership.filter(|_| parts.next().is_none()).ok_or(Misspelt("standing"))
}

/// A room.
pub(super) fn room(room: &Room) -> String {
    let created = spell(room.created);
    let text = RoomText {
        title: room.title.as_deref().map(Into::into),
        creator: room.creator.as_str().into(),
        past: room.past,
        created: created.into(),
    };
    let json = serde_json::to_string(&text).expect("texts are JSON");
    format!("{} {json}", spell(room.stamp))
}

/// The room of a cell.
pub(super) fn read_room(id: RoomId, text: &str) -> Result<Room, Misspelt> {
    let room = (|| {
        let (stamp, json) = text.split_once(' ')?;
        let RoomText { title, creator, past, created } = serde_json::from_str(json).ok()?;
        Some(Room {
            id,
            title: title.map(|title| title.into_owned().into()),
            creator: UserId::parse(&creator).ok()?,
            past,
            created: read(&created)?,
            stamp: read(stamp)?,
        })
    })();
    room.ok_or(Misspelt("room"))
}

/// What was sent under a nonce.
pub(super) fn record(record: &NonceRecord) -> [u8; 32] {
    let mut cell = [0; 32];
    cell[..16].copy_from_slice(&record.id.to_bytes());
    cell[16..].copy_from_slice(&record.content.to_be_bytes());
    cell
}

/// The record of a cell.
pub(super) fn read_record(cell: &[u8]) -> Result<NonceRecord, Misspelt> {
    let record = (|| {
        let (id, content) = cell.split_at_checked(16)?;
        let id = MessageId::from_bytes(id.try_into().ok()?)?;
        Some(NonceRecord { id, content: u128::from_be_bytes(content.try_into().ok()?) })
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

    fn sample(inside: bool, owner: bool, joined: MessageId, stamp: MessageId) -> Membership {
        let role = if owner { Role::Owner } else { Role::Member };
        let (room, user) = (RoomId::parse("r").unwrap(), UserId::parse("u").unwrap());
        Membership { room, user, inside, role, joined, stamp }
    }

    fn back(text: &str) -> Result<Membership, Misspelt> {
        read_standing(RoomId::parse("r").unwrap(), UserId::parse("u").unwrap(), text)
    }

    #[test]
    fn the_spelling_is_fixed() {
        let one = id(1_795_492_901_650_123, 42);
        let text = standing(&sample(true, true, id(0, 0), one));
        assert_eq!(
            text,
            "01a20bb7731271f7800000000000002a in owner 00000000000070008000000000000000"
        );
        for bad in ["dm", "", &text[1..], &text.to_uppercase(), &format!("{text} x")] {
            assert_eq!(back(bad), Err(Misspelt("standing")), "{bad}");
        }
        let room_id = RoomId::parse("r").unwrap();
        let named = Room {
            id: room_id.clone(),
            title: Some("Küche \"1\"".into()),
            creator: UserId::parse("alice").unwrap(),
            past: Past::Joined,
            created: id(0, 0),
            stamp: one,
        };
        assert_eq!(
            room(&named),
            "01a20bb7731271f7800000000000002a {\"title\":\"Küche \\\"1\\\"\",\"creator\":\"alice\",\
             \"past\":\"joined\",\"created\":\"00000000000070008000000000000000\"}"
        );
        assert_eq!(read_room(room_id.clone(), &room(&named)), Ok(named.clone()));
        let plain = Room { title: None, ..named };
        assert_eq!(read_room(room_id, &room(&plain)), Ok(plain));
    }

    proptest! {
        #[test]
        fn cells_give_back_what_was_spelled(
            (inside, owner) in (any::<bool>(), any::<bool>()),
            (joined, stamp) in (0..1_u64 << 50, 0..1_u64 << 50),
            (random, content) in (any::<u64>(), any::<u128>()),
        ) {
            let membership = sample(inside, owner, id(joined, random), id(stamp, random));
            prop_assert_eq!(back(&standing(&membership)), Ok(membership));
            let note = NonceRecord { id: id(stamp, random), content };
            prop_assert_eq!(read_record(&record(&note)), Ok(note));
        }

        #[test]
        fn of_two_standings_the_larger_text_is_of_the_larger_stamp(
            (a, b) in (0..1_u64 << 50, 0..1_u64 << 50), (x, y) in (any::<u64>(), any::<u64>()),
            (inside, owner) in (any::<bool>(), any::<bool>()),
        ) {
            let (one, two) = (id(a, x), id(b, y));
            prop_assume!(one != two);
            let texts = [
                standing(&sample(inside, owner, one, one)),
                standing(&sample(!inside, !owner, two, two)),
            ];
            prop_assert_eq!(texts[0] < texts[1], one < two);
        }

        #[test]
        fn any_cell_is_answered(text in ".{0,90}", bytes: Vec<u8>) {
            let _ = back(&text);
            let _ = read_room(RoomId::parse("r").unwrap(), &text);
            let _ = read_record(&bytes);
        }
    }
}
