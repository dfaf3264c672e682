//! What travels on the bus: a finished client frame with what is needed to route it.
//!
//! ```text
//! version 1 | kind 1 | flags 1 | class 1 | boot 16 | store 8 | id 16
//! keys: count 1, then each length 2 + bytes | about: length 2 + bytes | frame: the rest
//! ```
//! Integers are big-endian. The previous version stays readable when there is one.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::domain::{Class, Key, MessageId};

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 44;

/// More keys than any publish has.
const KEYS_MAX: usize = 16;

/// What an envelope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A stored message: routed to its audience.
    Message,
    /// An ephemeral event: matched against patterns.
    Event,
}

/// One start of a node: 16 random bytes, constant until it exits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// 64 bits of the store that a node writes to: nodes of two stores must not talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreTag(pub u64);

/// One publish. A copy is delivered under its keys alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// Who published it: a node drops its own echo.
    pub boot: BootId,
    /// The publisher's store.
    pub store: StoreTag,
    /// The message's id; zero for an event.
    pub id: [u8; 16],
    /// The keys that this copy is for, all of one class.
    pub keys: SmallVec<[Key; 2]>,
    /// The conversation or subject.
    pub about: Box<str>,
    /// The finished text of the client frame.
    pub frame: Bytes,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Of a version that this node does not know.
    #[error("version {0} is unknown, this node speaks {VERSION}")]
    Version(u8),
    /// It ends too early or a field is out of its range.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

impl Envelope {
    /// The id of the message, if it is one.
    pub fn message_id(&self) -> Option<MessageId> {
        MessageId::from_bytes(self.id)
    }

    /// The bytes of a copy for `keys`, which are some of its own.
    pub fn encode_for(&self, keys: &[Key]) -> Bytes {
        let names: usize = keys.iter().map(|key| 2 + key.as_str().len()).sum();
        let length = FIXED_BYTES + 1 + names + 2 + self.about.len() + self.frame.len();
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put_u8(VERSION);
        bytes.put_u8(match self.kind {
            Kind::Message => 0,
            Kind::Event => 1,
        });
        bytes.put_u8(0);
        bytes.put_u8(class_number(keys));
        bytes.put_slice(&self.boot.0);
        bytes.put_u64(self.store.0);
        bytes.put_slice(&self.id);
        bytes.put_u8(keys.len() as u8);
        keys.iter().for_each(|key| put_text(&mut bytes, key.as_str()));
        put_text(&mut bytes, &self.about);
        bytes.put_slice(&self.frame);
        bytes.freeze()
    }

    /// Reads a copy; the frame shares the bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let mut reader = Reader { bytes, at: 0 };
        let version = reader.byte()?;
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let kind = match reader.byte()? {
            0 => Kind::Message,
            1 => Kind::Event,
            _ => return Err(EnvelopeError::Malformed("kind")),
        };
        let (_flags, class) = (reader.byte()?, reader.byte()?);
        let boot = BootId(reader.array()?);
        let store = StoreTag(u64::from_be_bytes(reader.array()?));
        let id = reader.array()?;
        let keys = reader.keys()?;
        if class != class_number(&keys) || keys.iter().any(|key| key.class() != keys[0].class()) {
            return Err(EnvelopeError::Malformed("class"));
        }
        let about = reader.text()?.into();
        Ok(Self { kind, boot, store, id, keys, about, frame: bytes.slice(reader.at..) })
    }
}

fn class_number(keys: &[Key]) -> u8 {
    let class = keys.first().map(Key::class);
    Class::ALL.iter().position(|known| Some(*known) == class).unwrap_or(Class::ALL.len()) as u8
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_u16(text.len() as u16);
    bytes.put_slice(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], EnvelopeError> {
        let end = self.at.saturating_add(length);
        let taken = self.bytes.get(self.at..end).ok_or(EnvelopeError::Malformed("too short"))?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, EnvelopeError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as asked"))
    }

    fn text(&mut self) -> Result<&'a str, EnvelopeError> {
        let length = u16::from_be_bytes(self.array()?);
        let bytes = self.take(usize::from(length))?;
        std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Malformed("text"))
    }

    fn keys(&mut self) -> Result<SmallVec<[Key; 2]>, EnvelopeError> {
        let count = usize::from(self.byte()?);
        if !(1..=KEYS_MAX).contains(&count) {
            return Err(EnvelopeError::Malformed("number of keys"));
        }
        (0..count)
            .map(|_| Key::parse(self.text()?).map_err(|_| EnvelopeError::Malformed("key")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        Envelope {
            kind: Kind::Message,
            boot: BootId([7; 16]),
            store: StoreTag(0x0102_0304_0506_0708),
            id: [9; 16],
            keys: ["user.a", "user.b"].iter().map(|key| Key::parse(key).unwrap()).collect(),
            about: "dm.a.b".into(),
            frame: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let envelope = envelope();
        let bytes = envelope.encode_for(&envelope.keys);
        let mut golden = vec![1, 0, 0, 0];
        golden.extend([7; 16]);
        golden.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        golden.extend([9; 16]);
        golden.extend(b"\x02\x00\x06user.a\x00\x06user.b\x00\x06dm.a.b{}");
        assert_eq!(bytes, golden);
        assert_eq!(Envelope::decode(&bytes).unwrap(), envelope);
    }

    #[test]
    fn a_copy_is_for_its_own_keys() {
        let envelope = envelope();
        let copy = Envelope::decode(&envelope.encode_for(&envelope.keys[1..])).unwrap();
        assert_eq!(copy.keys.as_slice(), &envelope.keys[1..]);
    }

    #[test]
    fn other_versions_and_broken_bytes_are_refused() {
        let bytes = envelope().encode_for(&envelope().keys);
        let broken = |at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            Envelope::decode(&bytes.into()).unwrap_err()
        };
        assert_eq!(broken(0, 2), EnvelopeError::Version(2));
        assert_eq!(broken(1, 9), EnvelopeError::Malformed("kind"));
        assert_eq!(broken(3, 1), EnvelopeError::Malformed("class"));
        assert_eq!(broken(44, 0), EnvelopeError::Malformed("number of keys"));
        assert_eq!(broken(47, b' '), EnvelopeError::Malformed("key"));
        for end in 0..bytes.len() - 2 {
            assert!(Envelope::decode(&bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _answered = Envelope::decode(&bytes.into());
        }
    }
}
