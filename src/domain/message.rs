//! Messages and their ids.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use uuid::Uuid;

use super::{Conversation, Micros, UserId};

/// The longest nonce, in bytes.
pub const NONCE_BYTES_MAX: usize = 64;

const VERSION: u128 = 7 << 76;
const VARIANT: u128 = 0b10 << 62;
const RANDOM_MASK: u64 = (1 << 62) - 1;

/// A message's id: a UUID of version 7. Its `rand_a` holds the fraction of the millisecond in
/// 4096ths (RFC 9562, section 6.2, method 3), so that ids sort by time in whole microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

impl MessageId {
    /// Makes an id of a time and 62 random bits.
    pub const fn new(time: Micros, random: u64) -> Self {
        let millis = ((time.0 / 1000) as u128 & 0xFFFF_FFFF_FFFF) << 80;
        let fraction = ((time.0 % 1000) * 4096 / 1000) as u128;
        Self(millis | VERSION | fraction << 64 | VARIANT | (random & RANDOM_MASK) as u128)
    }

    /// The smallest id of a time: a bound of ranges.
    pub const fn first_of(time: Micros) -> Self {
        Self::new(time, 0)
    }

    /// The largest id of a time: a bound of ranges.
    pub const fn last_of(time: Micros) -> Self {
        Self::new(time, RANDOM_MASK)
    }

    /// The id's time. Exact for ids made here; rounded up for others.
    pub const fn time(self) -> Micros {
        let fraction = (self.0 >> 64 & 0xFFF) as u64;
        Micros((self.0 >> 80) as u64 * 1000 + (fraction * 1000).div_ceil(4096))
    }

    /// The id's 16 bytes, which sort as the ids do.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads an id from 16 bytes; none unless they are a UUID of version 7.
    pub const fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let value = u128::from_be_bytes(bytes);
        let version = value >> 76 & 0xF;
        let variant = value >> 62 & 0b11;
        if version == 7 && variant == 0b10 { Some(Self(value)) } else { None }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a message id: a UUID of version 7 in its 36-character form")]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        const HYPHENATED: usize = 36;
        if text.len() != HYPHENATED {
            return Err(NotAMessageId);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| NotAMessageId)?;
        Self::from_bytes(*uuid.as_bytes()).ok_or(NotAMessageId)
    }
}

/// A durable message: stored before it is published, found again after any gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, which holds its time and its place in the order.
    pub id: MessageId,
    /// What it belongs to.
    pub conversation: Conversation,
    /// Who sent it: a user, or the room itself.
    pub from: UserId,
    /// The sender's idempotency key, up to [`NONCE_BYTES_MAX`] bytes.
    pub nonce: Option<Box<str>>,
    /// Any JSON value, as text.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_ids_are_refused() {
        let parse = |text: &str| text.parse::<MessageId>();
        assert!(parse("019a0000-0000-7000-8000-000000000000").is_ok());
        assert!(parse("019a0000-0000-4000-8000-000000000000").is_err(), "version 4");
        assert!(parse("019a0000-0000-7000-c000-000000000000").is_err(), "another variant");
        assert!(parse("019a000000007000800000000000000000").is_err());
        assert!(parse("{019a0000-0000-7000-8000-00000000000}").is_err());
    }

    proptest! {
        #[test]
        fn an_id_gives_its_time_back(time in 0..1u64 << 52, random: u64) {
            let id = MessageId::new(Micros(time), random);
            prop_assert_eq!(id.time(), Micros(time));
            prop_assert_eq!(MessageId::from_bytes(id.to_bytes()), Some(id));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(Uuid::from_u128(id.0).get_version_num(), 7);
        }

        #[test]
        fn ids_sort_by_time(a in 0..1u64 << 52, b in 0..1u64 << 52, x: u64, y: u64) {
            prop_assume!(a != b);
            let (one, two) = (MessageId::new(Micros(a), x), MessageId::new(Micros(b), y));
            prop_assert_eq!(one < two, a < b);
            prop_assert_eq!(one.to_bytes() < two.to_bytes(), a < b);
        }

        #[test]
        fn bounds_enclose_a_time(time in 0..1u64 << 52, random: u64) {
            let id = MessageId::new(Micros(time), random);
            prop_assert!(MessageId::first_of(Micros(time)) <= id && id <= MessageId::last_of(Micros(time)));
        }
    }
}
