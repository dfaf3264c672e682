//! The format of the embedded store's keys: the engine sorts them as bytes.
//!
//! | table | key |
//! | --- | --- |
//! | messages | conversation, 0x00, id |
//! | activity | user, 0x00, day (4 bytes, big-endian), conversation |
//! | memberships, reads | user, 0x00, conversation |
//! | rooms, heads | room |
//! | members | room, 0x00, user |
//! | sends | sender, 0x00, nonce |
//!
//! No id and no conversation holds a 0x00, so the rows of `dm.a.b` and of `dm.a.bc` are apart. A
//! nonce may hold any byte: it comes last.

use std::io::Write;
use std::ops::Bound;

use crate::domain::{Conversation, MessageId, RoomId, UserId};
use crate::store::{Day, HistoryRange};

const SEPARATOR: u8 = 0;
const ID_BYTES: usize = 16;

/// The prefix of the names of rooms' conversations.
const ROOM: &[u8] = b"room.";

/// The direct conversations among a user's: `/` is the byte after `.`.
const DIRECTS: (&[u8], &[u8]) = (b"dm.", b"dm/");

/// A key's bytes.
pub(super) type RowKey = Vec<u8>;

fn push_conversation(key: &mut RowKey, conversation: &Conversation) {
    write!(key, "{conversation}").expect("writing to a Vec cannot fail");
}

/// The prefix of the keys of a conversation's messages.
fn conversation(conversation: &Conversation) -> RowKey {
    let mut key = RowKey::new();
    push_conversation(&mut key, conversation);
    key.push(SEPARATOR);
    key
}

fn joined(prefix: &[u8], tail: &[u8]) -> RowKey {
    [prefix, tail].concat()
}

/// The key of a message.
pub(super) fn message(of: &Conversation, id: MessageId) -> RowKey {
    joined(&conversation(of), &id.to_bytes())
}

/// The id in a message's key.
pub(super) fn message_id(key: &[u8]) -> Option<MessageId> {
    let (head, id) = key.split_last_chunk::<ID_BYTES>()?;
    (head.last() == Some(&SEPARATOR)).then(|| MessageId::from_bytes(*id)).flatten()
}

/// The keys of a range of a conversation's messages.
pub(super) fn span(of: &Conversation, range: HistoryRange) -> (Bound<RowKey>, Bound<RowKey>) {
    let prefix = conversation(of);
    let exclusive = |id: MessageId| Bound::Excluded(joined(&prefix, &id.to_bytes()));
    let first = || Bound::Included(prefix.clone());
    // Above every id, whose version is 7; and below what comes after the conversation.
    let last = || Bound::Included(joined(&prefix, &[0xFF; ID_BYTES]));
    match range {
        HistoryRange::Before(id) => (first(), id.map_or_else(last, exclusive)),
        HistoryRange::After(id) => (id.map_or_else(first, exclusive), last()),
    }
}

/// The prefix of the keys of a user's activity on a day.
pub(super) fn activity_day(user: &UserId, day: Day) -> RowKey {
    let mut key = user.as_str().as_bytes().to_vec();
    key.push(SEPARATOR);
    key.extend_from_slice(&day.0.to_be_bytes());
    key
}

/// The key of a user's activity in a conversation on a day.
pub(super) fn activity(user: &UserId, day: Day, conversation: &Conversation) -> RowKey {
    let mut key = activity_day(user, day);
    push_conversation(&mut key, conversation);
    key
}

/// A key of an id and what belongs to it.
fn under(id: &str, rest: &[u8]) -> RowKey {
    [id.as_bytes(), &[SEPARATOR], rest].concat()
}

fn of_user(user: &UserId, conversation: &Conversation) -> RowKey {
    let mut key = under(user.as_str(), b"");
    push_conversation(&mut key, conversation);
    key
}

/// The key of a user's membership.
pub(super) fn membership(user: &UserId, conversation: &Conversation) -> RowKey {
    of_user(user, conversation)
}

/// The keys of a user's memberships of direct conversations above one.
pub(super) fn directs(
    user: &UserId,
    after: Option<&Conversation>,
) -> (Bound<RowKey>, Bound<RowKey>) {
    let first = || under(user.as_str(), DIRECTS.0);
    let above = after.map_or_else(first, |after| membership(user, after));
    (Bound::Excluded(above), Bound::Excluded(under(user.as_str(), DIRECTS.1)))
}

/// The direct conversation in the key of a user's membership.
pub(super) fn direct_of(user: &UserId, key: &[u8]) -> Option<Conversation> {
    let name = key.strip_prefix(user.as_str().as_bytes())?.strip_prefix(&[SEPARATOR])?;
    let conversation = Conversation::parse_full(std::str::from_utf8(name).ok()?).ok()?;
    conversation.is_direct_of(user).then_some(conversation)
}

/// The prefix of the keys of a user's memberships of rooms; the room follows.
pub(super) fn rooms_of(user: &UserId) -> RowKey {
    under(user.as_str(), ROOM)
}

/// The key of a user's mark in a conversation.
pub(super) fn read_mark(user: &UserId, conversation: &Conversation) -> RowKey {
    of_user(user, conversation)
}

/// The key of rows that exist once per room.
pub(super) fn room(room: &RoomId) -> RowKey {
    room.as_str().as_bytes().to_vec()
}

/// The key of a room's member.
pub(super) fn member(room: &RoomId, user: &UserId) -> RowKey {
    under(room.as_str(), user.as_str().as_bytes())
}

/// The user in the key of a room's member.
pub(super) fn member_of(room: &RoomId, key: &[u8]) -> Option<UserId> {
    let user = key.strip_prefix(room.as_str().as_bytes())?.strip_prefix(&[SEPARATOR])?;
    UserId::parse(std::str::from_utf8(user).ok()?).ok()
}

/// The keys of a room's members above one.
pub(super) fn members(room: &RoomId, after: Option<&UserId>) -> (Bound<RowKey>, Bound<RowKey>) {
    let first = || Bound::Included(under(room.as_str(), b""));
    let above = |user| Bound::Excluded(member(room, user));
    // Above every user's id, which is ASCII.
    (after.map_or_else(first, above), Bound::Excluded(under(room.as_str(), &[0xFF])))
}

/// The key of what was sent under a nonce.
pub(super) fn nonce(sender: &UserId, nonce: &str) -> RowKey {
    under(sender.as_str(), nonce.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;
    use proptest::prelude::*;
    use std::ops::RangeBounds;

    fn dm(a: &str, b: &str) -> Conversation {
        Conversation::between(&UserId::parse(a).unwrap(), &UserId::parse(b).unwrap())
    }

    fn holds(range: &(Bound<RowKey>, Bound<RowKey>), key: &RowKey) -> bool {
        range.contains(key)
    }

    #[test]
    fn the_layout_is_fixed() {
        let (lobby, bob) = (RoomId::parse("lobby").unwrap(), UserId::parse("bob").unwrap());
        let there = Conversation::Room(lobby.clone());
        let id = MessageId::first_of(Micros(0x0198_0000_0000 * 1000));
        let id_bytes = b"\x01\x98\0\0\0\0\x70\0\x80\0\0\0\0\0\0\0";
        assert_eq!(message(&dm("a", "b"), id), [b"dm.a.b\0".as_slice(), id_bytes].concat());
        assert_eq!(message(&there, id), [b"room.lobby\0".as_slice(), id_bytes].concat());
        assert_eq!(
            activity(&bob, Day(0x0102_0304), &dm("bob", "a")),
            b"bob\0\x01\x02\x03\x04dm.a.bob"
        );
        assert_eq!(membership(&bob, &dm("bob", "a")), b"bob\0dm.a.bob");
        assert_eq!(membership(&bob, &there), b"bob\0room.lobby");
        assert_eq!(read_mark(&bob, &there), b"bob\0room.lobby");
        assert_eq!(room(&lobby), b"lobby");
        assert_eq!(member(&lobby, &bob), b"lobby\0bob");
        assert_eq!(nonce(&bob, "a\0b"), b"bob\0a\0b");
    }

    #[test]
    fn a_members_key_holds_him() {
        let (lobby, bob) = (RoomId::parse("lobby").unwrap(), UserId::parse("bob").unwrap());
        assert_eq!(member_of(&lobby, &member(&lobby, &bob)), Some(bob));
        for key in
            [b"lobby\0".as_slice(), b"lobby", b"lobbybob", b"lobby\0b.b", b"lobby\0\xFF", b""]
        {
            assert_eq!(member_of(&lobby, key), None);
        }
    }

    #[test]
    fn a_key_without_an_id_has_none() {
        let key = message(&dm("a", "b"), MessageId::first_of(Micros(5)));
        assert_eq!(message_id(&key), Some(MessageId::first_of(Micros(5))));
        assert_eq!(message_id(&key[..key.len() - 1]), None);
        assert_eq!(message_id(b""), None);
        assert_eq!(message_id(&joined(b"dm.a.b\0", &[0xFF; 16])), None);
    }

    proptest! {
        #[test]
        fn a_span_holds_its_own_conversation_alone(
            (a, b, c, d) in ("[a-c~]{1,3}", "[a-c~]{1,3}", "[a-c~]{1,3}", "[a-c~]{1,3}"),
            (time, bound) in (0..9u64, proptest::option::of(0..9u64)),
        ) {
            let (mine, other) = (dm(&a, &b), dm(&c, &d));
            let id = MessageId::first_of(Micros(time));
            let bound = bound.map(|time| MessageId::first_of(Micros(time)));
            let key = message(&other, id);
            let same = mine == other;
            let before = span(&mine, HistoryRange::Before(bound));
            let after = span(&mine, HistoryRange::After(bound));
            prop_assert_eq!(holds(&before, &key), same && bound.is_none_or(|bound| id < bound));
            prop_assert_eq!(holds(&after, &key), same && bound.is_none_or(|bound| id > bound));
        }

        #[test]
        fn members_are_those_of_the_room_above_the_bound(
            (mine, other) in ("[a-c~]{1,3}", "[a-c~]{1,3}"),
            (who, bound) in ("[a-c~]{1,3}", prop::option::of("[a-c~]{1,3}")),
        ) {
            let (room, there) = (RoomId::parse(&mine).unwrap(), RoomId::parse(&other).unwrap());
            let user = UserId::parse(&who).unwrap();
            let after = bound.map(|id| UserId::parse(&id).unwrap());
            let held = holds(&members(&room, after.as_ref()), &member(&there, &user));
            prop_assert_eq!(held, mine == other && after.is_none_or(|after| user > after));
        }

        #[test]
        fn directs_are_those_of_the_user_above_the_bound(
            (a, b, c) in ("[a-c+]{1,3}", "[a-c+]{1,3}", "[a-c+]{1,3}"),
            bound in prop::option::of("[a-c+]{1,3}"),
            is_room: bool,
        ) {
            let (me, other) = (UserId::parse(&a).unwrap(), UserId::parse(&b).unwrap());
            let room = Conversation::Room(RoomId::parse(&c).unwrap());
            let there = if is_room { room } else { dm(&b, &c) };
            let after = bound.map(|with| dm(&a, &with));
            let key = membership(&other, &there);
            let above = after.as_ref().is_none_or(|after| there.to_string() > after.to_string());
            let mine = !is_room && a == b;
            prop_assert_eq!(holds(&directs(&me, after.as_ref()), &key), mine && above);
            prop_assert_eq!(direct_of(&me, &key), mine.then_some(there));
        }

        #[test]
        fn the_rooms_of_a_user_are_his_alone(
            (a, b) in ("[a-c]{1,3}", "[a-c]{1,3}"), is_room: bool,
        ) {
            let (first, second) = (UserId::parse(&a).unwrap(), UserId::parse(&b).unwrap());
            let room = Conversation::Room(RoomId::parse(&a).unwrap());
            let key = membership(&second, &if is_room { room } else { dm(&a, &b) });
            prop_assert_eq!(key.starts_with(&rooms_of(&first)), is_room && a == b);
        }

        #[test]
        fn a_days_prefix_belongs_to_one_user_and_day(
            (a, b) in ("[a-c]{1,3}", "[a-c]{1,3}"), (one, two) in (0..3u32, 0..3u32),
        ) {
            let (first, second) = (UserId::parse(&a).unwrap(), UserId::parse(&b).unwrap());
            let key = activity(&second, Day(two), &dm(&a, &b));
            let mine = key.starts_with(&activity_day(&first, Day(one)));
            prop_assert_eq!(mine, (a, one) == (b, two));
        }
    }
}
