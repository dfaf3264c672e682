//! Tokens and the ids made of them.
//!
//! A token is 1 to 255 bytes of `A-Z a-z 0-9 _ - @ : ~ + = |`, or `%XX` (upper-case hex) for any
//! other byte, which must then be encoded. So raw ids and tokens map one to one.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::spelling::{BadEscape, is_plain, percent_decode, push_encoded};

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 255;

/// The longest user or room id, encoded, in bytes: `dm.<a>.<b>` then fits a subject's 512 bytes.
pub const ID_BYTES_MAX: usize = 250;

/// Why a text is not a token, a subject or a pattern. Places count bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// An empty token.
    #[error("an empty token at byte {at}")]
    EmptyToken {
        /// Where the token should begin.
        at: usize,
    },
    /// A byte that must be written as `%XX`.
    #[error("byte 0x{byte:02X} at {at} is not allowed in a token; write it as %{byte:02X}")]
    Byte {
        /// The offending byte.
        byte: u8,
        /// Its place.
        at: usize,
    },
    /// `%` without two upper-case hex digits behind it.
    #[error("`%` at byte {at} must be followed by two upper-case hex digits")]
    Escape {
        /// The place of the `%`.
        at: usize,
    },
    /// `%XX` for a byte that is allowed as it is: two spellings of one id.
    #[error("%{byte:02X} at byte {at} must be written plainly as `{}`", char::from(*byte))]
    NeedlessEscape {
        /// The byte that was encoded.
        byte: u8,
        /// The place of its `%`.
        at: usize,
    },
    /// `%` without two hex digits behind it, where any spelling is accepted.
    #[error("{0}; write a plain `%` as %25")]
    Percent(#[from] BadEscape),
    /// An id that is not text.
    #[error("the id does not decode to UTF-8")]
    Utf8,
    /// More bytes than allowed.
    #[error("{bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Too few or too many tokens.
    #[error("{tokens} tokens, 2 to 8 are allowed")]
    Tokens {
        /// How many there are.
        tokens: usize,
    },
    /// The first token is not a kind of subject.
    #[error("the first token must be `user`, `room`, `topic` or `presence`, not `{found}`")]
    Kind {
        /// The first token.
        found: String,
    },
    /// `>` before the end of a pattern.
    #[error("`>` at byte {at} must be the last token")]
    RestInside {
        /// The place of the `>`.
        at: usize,
    },
    /// A wildcard among the first two tokens of a kind that cannot be watched widely.
    #[error("only `topic` and `presence` may have a wildcard as second token, not `{found}`")]
    Wide {
        /// The first token.
        found: String,
    },
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The byte that the `%XX` at `at` encodes.
fn escape(bytes: &[u8], at: usize) -> Result<u8, GrammarError> {
    let digits =
        bytes.get(at + 1).copied().and_then(hex).zip(bytes.get(at + 2).copied().and_then(hex));
    let (high, low) = digits.ok_or(GrammarError::Escape { at })?;
    let byte = high << 4 | low;
    if is_plain(byte) { Err(GrammarError::NeedlessEscape { byte, at }) } else { Ok(byte) }
}

/// The tokens of a text, between its dots. Texts are short: looking at byte after byte takes a third
/// of what `str::split` takes, which prepares each search for a long one.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (token, behind) = match text.bytes().position(|byte| byte == b'.') {
            Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
            None => (text, None),
        };
        rest = behind;
        Some(token)
    })
}

/// Checks one token that begins at byte `base` of a longer text.
pub(super) fn check(token: &str, base: usize) -> Result<(), GrammarError> {
    let bytes = token.as_bytes();
    if bytes.is_empty() {
        return Err(GrammarError::EmptyToken { at: base });
    }
    if bytes.len() > TOKEN_BYTES_MAX {
        return Err(GrammarError::TooLong { bytes: bytes.len(), max: TOKEN_BYTES_MAX });
    }
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                escape(bytes, at).map_err(|error| error.shifted(base))?;
                at += 3;
            }
            byte if is_plain(byte) => at += 1,
            byte => return Err(GrammarError::Byte { byte, at: base + at }),
        }
    }
    Ok(())
}

impl GrammarError {
    /// The same error in a text that holds this one from byte `base` on.
    fn shifted(self, base: usize) -> Self {
        match self {
            Self::Escape { at } => Self::Escape { at: at + base },
            Self::NeedlessEscape { byte, at } => Self::NeedlessEscape { byte, at: at + base },
            other => other,
        }
    }
}

/// Encodes a raw id as a token; the inverse of [`decode`].
fn encode(raw: &[u8]) -> String {
    let mut token = String::with_capacity(raw.len());
    raw.iter().for_each(|byte| push_encoded(&mut token, *byte));
    token
}

/// The raw bytes of a checked token.
fn decode(token: &str) -> Vec<u8> {
    let bytes = token.as_bytes();
    let mut raw = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            raw.push(escape(bytes, at).expect("a checked token has only valid escapes"));
            at += 3;
        } else {
            raw.push(bytes[at]);
            at += 1;
        }
    }
    raw
}

fn check_id(text: &str) -> Result<(), GrammarError> {
    check(text, 0)?;
    if text.len() > ID_BYTES_MAX {
        return Err(GrammarError::TooLong { bytes: text.len(), max: ID_BYTES_MAX });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads an id in its canonical spelling, as it is stored.
            pub fn parse(text: &str) -> Result<Self, GrammarError> {
                check_id(text)?;
                Ok(Self(text.into()))
            }

            /// Encodes a raw id, such as a token's `sub`. It is applied exactly once.
            pub fn from_raw(raw: &[u8]) -> Result<Self, GrammarError> {
                let text = encode(raw);
                check_id(&text)?;
                Ok(Self(text.into()))
            }

            /// Reads an id as a client spells it: any spelling that decodes to it.
            pub fn read(text: &str) -> Result<Self, GrammarError> {
                let raw = percent_decode(text)?;
                std::str::from_utf8(&raw).map_err(|_| GrammarError::Utf8)?;
                Self::from_raw(&raw)
            }

            /// The raw id: the inverse of [`Self::from_raw`].
            pub fn to_raw(&self) -> Vec<u8> {
                decode(&self.0)
            }

            /// The raw id as text, for clients. Every id that [`Self::read`] accepts is text.
            pub fn raw_text(&self) -> String {
                String::from_utf8_lossy(&self.to_raw()).into_owned()
            }

            /// The encoded id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// A user, by the encoded id.
    UserId
);
id!(
    /// A room, by its encoded id.
    RoomId
);

impl UserId {
    /// Returns the sender of a room's own messages, which no user sent. No user can have this id,
    /// since an id has no dot. It is stored and counted like a sender, and never shown.
    pub fn of_room(room: &RoomId) -> Self {
        Self(format!("{ROOM_SENDER}{room}").into())
    }

    /// Whether this is the sender of a room's own messages.
    pub fn is_of_room(&self) -> bool {
        self.0.starts_with(ROOM_SENDER)
    }

    /// Reads a sender as it is stored: a user, or a room.
    pub fn parse_sender(text: &str) -> Result<Self, GrammarError> {
        match text.strip_prefix(ROOM_SENDER) {
            Some(room) => RoomId::parse(room).map(|room| Self::of_room(&room)),
            None => Self::parse(text),
        }
    }
}

/// What the sender of a room's own messages begins with.
const ROOM_SENDER: &str = "room.";

impl RoomId {
    /// Makes an id of random bits, which no other node can guess or draw again.
    pub fn of_bits(bits: u128) -> Self {
        Self::parse(&format!("{bits:032x}")).expect("hex digits are plain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_the_byte_and_its_place() {
        assert_eq!(UserId::parse("a b"), Err(GrammarError::Byte { byte: b' ', at: 1 }));
        assert_eq!(UserId::parse("a%2"), Err(GrammarError::Escape { at: 1 }));
        assert_eq!(UserId::parse("%c3%a4"), Err(GrammarError::Escape { at: 0 }));
        assert_eq!(UserId::parse("x%41"), Err(GrammarError::NeedlessEscape { byte: b'A', at: 1 }));
        assert_eq!(UserId::parse(""), Err(GrammarError::EmptyToken { at: 0 }));
        assert_eq!(check("ok%zz", 7), Err(GrammarError::Escape { at: 9 }));
    }

    #[test]
    fn an_id_ends_at_250_bytes() {
        assert!(UserId::parse(&"a".repeat(250)).is_ok());
        let error = UserId::parse(&"a".repeat(251)).unwrap_err();
        assert_eq!(error, GrammarError::TooLong { bytes: 251, max: 250 });
        assert!(UserId::from_raw(&[0; 84]).is_err(), "84 bytes take 252 when encoded");
    }

    #[test]
    fn the_test_vectors_of_the_documentation_hold() {
        let page = include_str!("../protocol/README.md");
        let rows = page.split("| raw | canonical | accepted as well |").nth(1).unwrap();
        let rows = rows.lines().skip(2).take_while(|row| row.starts_with('|'));
        let mut found = 0;
        for row in rows {
            let mut texts = row.split('`').skip(1).step_by(2);
            let (raw, canonical) = (texts.next().unwrap(), texts.next().unwrap());
            let id = UserId::from_raw(raw.as_bytes()).unwrap();
            assert_eq!((id.as_str(), id.raw_text().as_str()), (canonical, raw));
            for spelling in texts.chain([canonical]) {
                assert_eq!(UserId::read(spelling).as_ref(), Ok(&id), "{spelling}");
                found += 1;
            }
        }
        assert!(found > 8, "they are found: {found}");
    }

    #[test]
    fn what_decodes_to_no_id_is_refused() {
        let error = |text: &str| UserId::read(text).unwrap_err().to_string();
        assert_eq!(
            error("100%"),
            "`%` at byte 3 must be followed by two hex digits; write a plain `%` as %25"
        );
        assert_eq!(error("%ff"), "the id does not decode to UTF-8");
        assert_eq!(error(""), "an empty token at byte 0");
        assert_eq!(error(&"ä".repeat(42)), "252 bytes, at most 250 are allowed");
    }

    #[test]
    fn a_room_sends_under_an_id_that_no_user_has() {
        let sender = UserId::of_room(&RoomId::parse("r").unwrap());
        assert!(sender.is_of_room() && UserId::parse(sender.as_str()).is_err());
        assert_eq!(UserId::parse_sender("room.r"), Ok(sender.clone()));
        assert!(!UserId::parse_sender("bob").unwrap().is_of_room());
        assert!(
            UserId::parse_sender("room.").is_err() && UserId::parse_sender("room.a.b").is_err()
        );
        assert_ne!(UserId::from_raw(b"room.r").unwrap(), sender);
    }

    #[test]
    fn separators_and_wildcards_are_encoded() {
        assert_eq!(
            UserId::from_raw("a.b*>%/ü".as_bytes()).unwrap().as_str(),
            "a%2Eb%2A%3E%25%2F%C3%BC"
        );
    }

    proptest! {
        #[test]
        fn splitting_is_as_str_split_does_it(text in "[a.é]{0,12}") {
            prop_assert!(split(&text).eq(text.split('.')), "{text}");
        }

        #[test]
        fn raw_ids_and_tokens_map_one_to_one(raw in prop::collection::vec(any::<u8>(), 1..80)) {
            let id = UserId::from_raw(&raw).unwrap();
            prop_assert_eq!(id.to_raw(), raw);
            prop_assert_eq!(UserId::parse(id.as_str()).unwrap(), id);
        }

        #[test]
        fn a_text_that_parses_has_no_other_spelling(text in "[A-Za-z0-9._%@:~+=|\\-]{1,40}") {
            if let Ok(id) = UserId::parse(&text) {
                prop_assert_eq!(UserId::from_raw(&id.to_raw()).unwrap(), id);
            }
        }

        #[test]
        fn every_spelling_is_the_same_id(raw in "[ -~é]{1,60}", odd in any::<u64>(), upper: bool) {
            let spell = |(at, byte): (usize, u8)| match odd >> (at % 64) & 1 {
                _ if byte == b'%' || !byte.is_ascii() => format!("%{byte:02x}").into_bytes(),
                0 => vec![byte],
                _ if upper => format!("%{byte:02X}").into_bytes(),
                _ => format!("%{byte:02x}").into_bytes(),
            };
            let text: Vec<u8> = raw.bytes().enumerate().flat_map(spell).collect();
            let id = UserId::from_raw(raw.as_bytes()).unwrap();
            prop_assert_eq!(UserId::read(std::str::from_utf8(&text).unwrap()).unwrap(), id.clone());
            prop_assert_eq!(UserId::read(id.as_str()).unwrap(), id.clone());
            prop_assert_eq!(id.raw_text(), raw);
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _read = UserId::read(&text);
            let _: Result<UserId, GrammarError> = UserId::parse(&text);
        }
    }
}
