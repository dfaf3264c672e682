//! The format of the embedded store's values. Each begins with the version of its layout.
//!
//! | table | value after the version |
//! | --- | --- |
//! | messages | length of the sender, sender, length of the nonce (0xFF: none), nonce, body |
//! | activity | id of the newest message |
//! | heads | id of the newest message |
//! | rooms | stamp, id of its creation, past (1 all, 2 joined), length of the creator, creator, 0 or 1, title after a 1; or 2 or 3, length of the data (2 bytes), data, title after a 3 |
//! | members | stamps: added, removed, joined after, joined, role; role (1 owner, 2 member); the adder (8 bytes) if a user |
//! | memberships | kind (1 direct, 2 room); of a room the value in `members` |
//! | reads | id that was read up to |
//! | sends | id of the message, hash of its content (16 bytes, big-endian) |
//!
//! Lengths are single bytes and ids 16; conversation, id, room, user and nonce are in the key.

mod register;

use std::str::Utf8Error;

use bytes::Bytes;

use crate::domain::{Conversation, GrammarError, Message, MessageId, NONCE_BYTES_MAX, UserId};

pub(super) use register::{
    direct_membership, id, member, membership, nonce, rank, read_id, read_member, read_membership,
    read_nonce, read_room, room,
};

const VERSION: u8 = 1;
const NO_NONCE: u8 = 0xFF;

const _: () = assert!(NONCE_BYTES_MAX < NO_NONCE as usize, "a nonce's length must fit its byte");

/// What is wrong with a row.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Defect {
    #[error("its layout has version {found}, only {VERSION} is known")]
    Version { found: u8 },
    #[error("it ends within its {part}")]
    Short { part: &'static str },
    #[error("its {part} is not a user id: {error}")]
    User { part: &'static str, error: GrammarError },
    #[error("its {part} is not text: {error}")]
    Text { part: &'static str, error: Utf8Error },
    #[error("its nonce has {bytes} bytes, at most {NONCE_BYTES_MAX} are allowed")]
    NonceBytes { bytes: usize },
    #[error("it holds no message id")]
    Id,
    #[error("its {part} is {found}, which is not a known value")]
    Byte { part: &'static str, found: u8 },
    #[error("it has {bytes} bytes too many at its end")]
    Trailing { bytes: usize },
    #[error("its key holds no {part}")]
    Key { part: &'static str },
}

/// A row of `messages`.
pub(super) fn message(message: &Message) -> Result<Vec<u8>, Defect> {
    let sender = message.from.as_str().as_bytes();
    let nonce = message.nonce.as_deref().map(str::as_bytes);
    let nonce_bytes = nonce.map_or(0, <[u8]>::len);
    check_nonce(nonce_bytes)?;
    let mut row = Vec::with_capacity(3 + sender.len() + nonce_bytes + message.body.len());
    row.extend_from_slice(&[VERSION, sender.len() as u8]);
    row.extend_from_slice(sender);
    row.push(nonce.map_or(NO_NONCE, |nonce| nonce.len() as u8));
    row.extend_from_slice(nonce.unwrap_or_default());
    row.extend_from_slice(&message.body);
    Ok(row)
}

/// The message of a row.
pub(super) fn read_message(
    conversation: &Conversation,
    id: MessageId,
    row: &[u8],
) -> Result<Message, Defect> {
    let mut rest = versioned(row)?;
    let from = take_sender(&mut rest)?;
    let nonce = take_nonce(&mut rest)?;
    Ok(Message {
        id,
        conversation: conversation.clone(),
        from,
        nonce,
        body: Bytes::copy_from_slice(rest),
    })
}

/// Whether a nonce of this length fits into a row.
pub(super) fn check_nonce(bytes: usize) -> Result<(), Defect> {
    if bytes > NONCE_BYTES_MAX { Err(Defect::NonceBytes { bytes }) } else { Ok(()) }
}

fn versioned(row: &[u8]) -> Result<&[u8], Defect> {
    match row.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((&found, _)) => Err(Defect::Version { found }),
        None => Err(Defect::Short { part: "version" }),
    }
}

fn take_byte(rest: &mut &[u8], part: &'static str) -> Result<u8, Defect> {
    let (&byte, tail) = rest.split_first().ok_or(Defect::Short { part })?;
    *rest = tail;
    Ok(byte)
}

fn take<'a>(rest: &mut &'a [u8], bytes: u8, part: &'static str) -> Result<&'a [u8], Defect> {
    let (head, tail) = rest.split_at_checked(bytes.into()).ok_or(Defect::Short { part })?;
    *rest = tail;
    Ok(head)
}

fn take_text<'a>(rest: &mut &'a [u8], bytes: u8, part: &'static str) -> Result<&'a str, Defect> {
    std::str::from_utf8(take(rest, bytes, part)?).map_err(|error| Defect::Text { part, error })
}

fn take_user(rest: &mut &[u8], part: &'static str) -> Result<UserId, Defect> {
    let bytes = take_byte(rest, part)?;
    UserId::parse(take_text(rest, bytes, part)?).map_err(|error| Defect::User { part, error })
}

fn take_sender(rest: &mut &[u8]) -> Result<UserId, Defect> {
    let bytes = take_byte(rest, "sender")?;
    let text = take_text(rest, bytes, "sender")?;
    UserId::parse_sender(text).map_err(|error| Defect::User { part: "sender", error })
}

fn take_nonce(rest: &mut &[u8]) -> Result<Option<Box<str>>, Defect> {
    let bytes = take_byte(rest, "nonce")?;
    if bytes == NO_NONCE {
        return Ok(None);
    }
    check_nonce(bytes.into())?;
    Ok(Some(take_text(rest, bytes, "nonce")?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, RoomId};
    use proptest::prelude::*;

    fn sample(nonce: Option<&str>, body: &[u8]) -> Message {
        let (a, b) = (UserId::parse("alice").unwrap(), UserId::parse("bob").unwrap());
        Message {
            id: MessageId::new(Micros(1_795_492_901_650_123), 42),
            conversation: Conversation::between(&a, &b),
            from: b,
            nonce: nonce.map(Into::into),
            body: Bytes::copy_from_slice(body),
        }
    }

    fn read(row: &[u8]) -> Result<Message, Defect> {
        let sample = sample(None, b"");
        read_message(&sample.conversation, sample.id, row)
    }

    #[test]
    fn the_layout_is_fixed() {
        let row = message(&sample(Some("a1"), b"\"Hi\"")).unwrap();
        assert_eq!(row, b"\x01\x03bob\x02a1\"Hi\"");
        let row = message(&sample(None, b"7")).unwrap();
        assert_eq!(row, b"\x01\x03bob\xFF7");
    }

    #[test]
    fn defects_say_what_is_wrong() {
        assert_eq!(read(b""), Err(Defect::Short { part: "version" }));
        assert_eq!(read(b"\x02\x03bob\xFF"), Err(Defect::Version { found: 2 }));
        assert_eq!(read(b"\x01\x09bob"), Err(Defect::Short { part: "sender" }));
        assert_eq!(read(b"\x01\x03bob"), Err(Defect::Short { part: "nonce" }));
        assert_eq!(read(b"\x01\x03bob\x41a"), Err(Defect::NonceBytes { bytes: 65 }));
        assert!(matches!(read(b"\x01\x03b.b\xFF"), Err(Defect::User { part: "sender", .. })));
        assert!(matches!(read(b"\x01\x03bob\x01\xFF"), Err(Defect::Text { part: "nonce", .. })));
        assert_eq!(read_id(&[1; 17]), Err(Defect::Id));
        assert_eq!(read_id(&[1; 16]), Err(Defect::Id));
    }

    #[test]
    fn a_rooms_own_message_has_the_longest_sender_that_fits() {
        let room = RoomId::parse(&"r".repeat(crate::domain::ID_BYTES_MAX)).unwrap();
        let from = UserId::of_room(&room);
        let sent = Message { from, ..sample(None, b"1") };
        let row = message(&sent).unwrap();
        assert_eq!(row[1], 0xFF);
        assert_eq!(read(&row), Ok(sent));
    }

    #[test]
    fn a_nonce_ends_at_64_bytes() {
        assert!(message(&sample(Some(&"n".repeat(64)), b"")).is_ok());
        let error = message(&sample(Some(&"n".repeat(65)), b"")).unwrap_err();
        assert_eq!(error, Defect::NonceBytes { bytes: 65 });
    }

    proptest! {
        #[test]
        fn a_row_gives_its_message_back(
            nonce in proptest::option::of("[a-zü]{0,20}"), body: Vec<u8>,
        ) {
            let sent = sample(nonce.as_deref(), &body);
            prop_assert_eq!(read(&message(&sent).unwrap()), Ok(sent.clone()));
            prop_assert_eq!(read_id(&id(sent.id)), Ok(sent.id));
        }

        #[test]
        fn any_row_is_answered(row: Vec<u8>) {
            let _: Result<Message, Defect> = read(&row);
            let _: Result<MessageId, Defect> = read_id(&row);
        }
    }
}
