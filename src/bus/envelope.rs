//! What travels on the bus: a finished client frame with what is needed to route it.
//!
//! ```text
//! version 1 | kind 1 | flags 1 | class 1 | boot 16 | store 8 | id 16
//! keys: count 1, then each length 2 + bytes | about: length 2 + bytes | frame: the rest | tag 16
//! ```
//! Integers are big-endian. Flags: bit 0 marks a copy for the channel `tap`, unknown ones are
//! ignored. An envelope without keys has the number after the last class. The tag is that of
//! [`EnvelopeMac`] over all bytes before it. The previous version stays readable when there is one. Bytes
//! without a tag are not an envelope.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::envelope_mac::{EnvelopeMac, TAG_BYTES};
use crate::domain::{Class, MessageId, RoutingKey};

/// The version that this program writes and reads.
pub const ENVELOPE_VERSION: u8 = 2;

const FIXED_BYTES: usize = 44;

/// The offset of the store.
const STORE_AT: usize = 20;

/// The flag of a copy for the channel `tap`.
const TAP_COPY: u8 = 1;

/// More keys than any publish has.
const KEYS_MAX: usize = 16;

/// The kind of an envelope. The numbers are those on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeKind {
    /// A stored message: routed to its audience.
    Message = 0,
    /// An ephemeral event: matched against patterns.
    Event = 1,
    /// From node to node: `about` holds everything. It is not delivered to sessions.
    Notice = 2,
    /// Sent by a node to its own channel, to see that it comes back, by its id. It is not delivered
    /// to sessions.
    Canary = 3,
    /// A change of the membership in `about`; its id is the stamp. Its frame is news for the
    /// members of the room.
    Membership = 4,
}

impl EnvelopeKind {
    const ALL: [Self; 5] =
        [Self::Message, Self::Event, Self::Notice, Self::Canary, Self::Membership];

    /// Envelopes for sessions are routed by at least one key.
    const fn keys_min(self) -> usize {
        match self {
            Self::Message | Self::Event | Self::Membership => 1,
            Self::Notice | Self::Canary => 0,
        }
    }
}

/// One start of a node: 16 random bytes, constant until it exits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// Makes a fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 64 bits of the id of the store that a node writes to: nodes of two stores must not exchange
/// messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreTag(pub u64);

/// One publish. A copy is delivered under its keys alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its kind.
    pub kind: EnvelopeKind,
    /// Whether this copy of an event is for sessions whose patterns are all wide.
    pub tap_copy: bool,
    /// The boot that published it: a node drops its own echo.
    pub boot: BootId,
    /// The publisher's store.
    pub store: StoreTag,
    /// The message's id, a membership's stamp, a canary's nonce; zero for others.
    pub id: [u8; 16],
    /// The keys that this copy is for, all of one class; none if it is for nodes.
    pub keys: SmallVec<[RoutingKey; 2]>,
    /// The conversation, the subject, the membership, or what a notice is about.
    pub about: Box<str>,
    /// The finished text of the client frame.
    pub frame: Bytes,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A version that this node does not know.
    #[error("version {0} is unknown, this node reads version {ENVELOPE_VERSION}")]
    Version(u8),
    /// Its tag is not one of this store's nodes.
    #[error("its tag is not one of this store's nodes")]
    Unsealed,
    /// It ends too early or a field is out of its range.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

impl Envelope {
    /// Whether no cursor may pass it if it is lost.
    pub const fn is_durable(&self) -> bool {
        matches!(self.kind, EnvelopeKind::Message | EnvelopeKind::Membership)
    }

    /// The class whose buckets this copy came by; none if it is for wide patterns or for nodes.
    pub fn class(&self) -> Option<Class> {
        self.keys.first().filter(|_| !self.tap_copy).map(RoutingKey::class)
    }

    /// The id of the message, if it is one; the stamp of a membership.
    pub fn message_id(&self) -> Option<MessageId> {
        MessageId::from_bytes(self.id)
    }

    /// Makes a node's notice to all others.
    pub fn notice(boot: BootId, store: StoreTag, about: &str) -> Self {
        Self {
            kind: EnvelopeKind::Notice,
            tap_copy: false,
            boot,
            store,
            id: [0; 16],
            keys: SmallVec::new(),
            about: about.into(),
            frame: Bytes::new(),
        }
    }

    /// Whether wide patterns may match it, so that the channel `tap` needs a copy.
    pub fn concerns_feed(&self) -> bool {
        let class = self.keys.first().map(RoutingKey::class);
        self.kind == EnvelopeKind::Event && class == Some(Class::Topic)
    }

    /// The bytes of a copy for the channel `tap`.
    pub fn encode_tap_copy(&self, seal: &EnvelopeMac) -> Bytes {
        self.encode(&self.keys, true, seal)
    }

    /// The bytes of a copy for `keys`, which are some of its own.
    pub fn encode_for(&self, keys: &[RoutingKey], seal: &EnvelopeMac) -> Bytes {
        self.encode(keys, self.tap_copy, seal)
    }

    fn encode(&self, keys: &[RoutingKey], tap_copy: bool, seal: &EnvelopeMac) -> Bytes {
        let names: usize = keys.iter().map(|key| 2 + key.as_str().len()).sum();
        let length = FIXED_BYTES + 1 + names + 2 + self.about.len() + self.frame.len();
        let mut bytes = BytesMut::with_capacity(length + TAG_BYTES);
        bytes.put_u8(ENVELOPE_VERSION);
        bytes.put_u8(self.kind as u8);
        bytes.put_u8(if tap_copy { TAP_COPY } else { 0 });
        bytes.put_u8(class_number(keys));
        bytes.put_slice(&self.boot.0);
        bytes.put_u64(self.store.0);
        bytes.put_slice(&self.id);
        bytes.put_u8(keys.len() as u8);
        keys.iter().for_each(|key| put_text(&mut bytes, key.as_str()));
        put_text(&mut bytes, &self.about);
        bytes.put_slice(&self.frame);
        let tag = seal.tag(&bytes);
        bytes.put_slice(&tag);
        bytes.freeze()
    }

    /// The store that an envelope names. The tag is not checked, so any client of Redis may have
    /// written it.
    pub fn claimed_store(bytes: &[u8]) -> Option<StoreTag> {
        let is_ours = bytes.first() == Some(&ENVELOPE_VERSION);
        let store = bytes.get(STORE_AT..STORE_AT + 8).filter(|_| is_ours)?;
        store.try_into().ok().map(|store| StoreTag(u64::from_be_bytes(store)))
    }

    /// Reads a copy that a node of the same store made; the frame shares the bytes.
    pub fn decode(bytes: &Bytes, seal: &EnvelopeMac) -> Result<Self, EnvelopeError> {
        let version = *bytes.first().ok_or(EnvelopeError::Malformed("too short"))?;
        if version != ENVELOPE_VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let bytes = &seal.open(bytes).ok_or(EnvelopeError::Unsealed)?;
        let mut reader = Reader { bytes, at: 1 };
        let number = reader.byte()?;
        let kind = EnvelopeKind::ALL.into_iter().find(|kind| *kind as u8 == number);
        let kind = kind.ok_or(EnvelopeError::Malformed("kind"))?;
        let (flags, class) = (reader.byte()?, reader.byte()?);
        let boot = BootId(reader.array()?);
        let store = StoreTag(u64::from_be_bytes(reader.array()?));
        let id = reader.array()?;
        let keys = reader.keys(kind.keys_min())?;
        if class != class_number(&keys) || keys.iter().any(|key| class != number_of(key.class())) {
            return Err(EnvelopeError::Malformed("class"));
        }
        let about = reader.text()?.into();
        let (tap_copy, frame) = (flags & TAP_COPY != 0, bytes.slice(reader.at..));
        Ok(Self { kind, tap_copy, boot, store, id, keys, about, frame })
    }
}

fn class_number(keys: &[RoutingKey]) -> u8 {
    keys.first().map_or(Class::ALL.len() as u8, |key| number_of(key.class()))
}

/// The number of a class on the wire: its place in [`Class::ALL`].
const fn number_of(class: Class) -> u8 {
    class as u8
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
        Ok(self.take(N)?.try_into().expect("take returns as many bytes as asked for"))
    }

    fn text(&mut self) -> Result<&'a str, EnvelopeError> {
        let length = u16::from_be_bytes(self.array()?);
        let bytes = self.take(usize::from(length))?;
        std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Malformed("text"))
    }

    fn keys(&mut self, min: usize) -> Result<SmallVec<[RoutingKey; 2]>, EnvelopeError> {
        let count = usize::from(self.byte()?);
        if !(min..=KEYS_MAX).contains(&count) {
            return Err(EnvelopeError::Malformed("number of keys"));
        }
        (0..count)
            .map(|_| RoutingKey::parse(self.text()?).map_err(|_| EnvelopeError::Malformed("key")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal() -> EnvelopeMac {
        EnvelopeMac::of_store(&[3; 32])
    }

    /// These bytes with their tag.
    fn sealed(bytes: &[u8]) -> Bytes {
        [bytes, &seal().tag(bytes)].concat().into()
    }

    fn envelope() -> Envelope {
        Envelope {
            kind: EnvelopeKind::Message,
            tap_copy: false,
            boot: BootId([7; 16]),
            store: StoreTag(0x0102_0304_0506_0708),
            id: [9; 16],
            keys: ["user.a", "user.b"].iter().map(|key| RoutingKey::parse(key).unwrap()).collect(),
            about: "dm.a.b".into(),
            frame: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let envelope = envelope();
        let bytes = envelope.encode_for(&envelope.keys, &seal());
        let mut golden = vec![2, 0, 0, 0];
        golden.extend([7; 16]);
        golden.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        golden.extend([9; 16]);
        golden.extend(b"\x02\x00\x06user.a\x00\x06user.b\x00\x06dm.a.b{}");
        assert_eq!(bytes, sealed(&golden));
        assert_eq!(Envelope::decode(&bytes, &seal()).unwrap(), envelope);
    }

    #[test]
    fn golden_bytes_of_a_tap_copy() {
        let keys = SmallVec::from_iter([RoutingKey::parse("topic.a").unwrap()]);
        let event =
            Envelope { kind: EnvelopeKind::Event, keys, about: "topic.a.b".into(), ..envelope() };
        assert!(event.concerns_feed() && !envelope().concerns_feed());
        let bytes = event.encode_tap_copy(&seal());
        let mut golden = vec![2, 1, 1, 2];
        golden.extend([7; 16]);
        golden.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        golden.extend([9; 16]);
        golden.extend(b"\x01\x00\x07topic.a\x00\x09topic.a.b{}");
        assert_eq!(bytes, sealed(&golden));
        let copy = Envelope { tap_copy: true, ..event.clone() };
        assert_eq!(Envelope::decode(&bytes, &seal()).unwrap(), copy);
        assert_eq!(copy.encode_for(&copy.keys, &seal()), bytes);
    }

    #[test]
    fn golden_bytes_of_a_notice_and_a_canary() {
        let notice = Envelope::notice(BootId([7; 16]), StoreTag(8), "tap");
        let mut golden = vec![2, 2, 0, 3];
        golden.extend([7; 16]);
        golden.extend([0, 0, 0, 0, 0, 0, 0, 8]);
        golden.extend([0; 16]);
        golden.extend(b"\x00\x00\x03tap");
        assert_eq!(notice.encode_for(&[], &seal()), sealed(&golden));
        assert_eq!(Envelope::decode(&sealed(&golden), &seal()).unwrap(), notice);
        let canary =
            Envelope { kind: EnvelopeKind::Canary, id: [9; 16], about: "".into(), ..notice };
        let bytes = canary.encode_for(&[], &seal());
        assert_eq!(bytes[..4], [2, 3, 0, 3]);
        assert_eq!((&bytes[28..44], &bytes[44..47]), (&[9; 16][..], &[0; 3][..]));
        assert_eq!(Envelope::decode(&bytes, &seal()).unwrap(), canary);
    }

    #[test]
    fn golden_bytes_of_a_membership() {
        let keys = SmallVec::from_iter([RoutingKey::parse("room.r").unwrap()]);
        let kind = EnvelopeKind::Membership;
        let change = Envelope { kind, keys, about: "r bob".into(), ..envelope() };
        let mut golden = vec![2, 4, 0, 1];
        golden.extend([7; 16]);
        golden.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        golden.extend([9; 16]);
        golden.extend(b"\x01\x00\x06room.r\x00\x05r bob{}");
        assert_eq!(change.encode_for(&change.keys, &seal()), sealed(&golden));
        assert_eq!(Envelope::decode(&sealed(&golden), &seal()).unwrap(), change);
    }

    #[test]
    fn unknown_flags_are_ignored() {
        let bytes = envelope().encode_for(&envelope().keys, &seal());
        let mut bytes = bytes[..bytes.len() - TAG_BYTES].to_vec();
        bytes[2] = 0b1111_1110;
        assert_eq!(Envelope::decode(&sealed(&bytes), &seal()).unwrap(), envelope());
    }

    #[test]
    fn a_copy_is_for_its_own_keys() {
        let envelope = envelope();
        let copy =
            Envelope::decode(&envelope.encode_for(&envelope.keys[1..], &seal()), &seal()).unwrap();
        assert_eq!(copy.keys.as_slice(), &envelope.keys[1..]);
    }

    #[test]
    fn other_versions_and_broken_bytes_are_refused() {
        let whole = envelope().encode_for(&envelope().keys, &seal());
        let bytes = whole.slice(..whole.len() - TAG_BYTES);
        let broken = |at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            Envelope::decode(&sealed(&bytes), &seal()).unwrap_err()
        };
        assert_eq!(broken(0, 1), EnvelopeError::Version(1));
        assert_eq!(broken(1, 9), EnvelopeError::Malformed("kind"));
        assert_eq!(broken(3, 1), EnvelopeError::Malformed("class"));
        assert_eq!(broken(44, 0), EnvelopeError::Malformed("number of keys"));
        assert_eq!(broken(47, b' '), EnvelopeError::Malformed("key"));
        for end in 0..bytes.len() - 2 {
            assert!(Envelope::decode(&sealed(&bytes[..end]), &seal()).is_err(), "cut at {end}");
        }
        let other = EnvelopeMac::of_store(&[4; 32]);
        assert_eq!(Envelope::decode(&whole, &other), Err(EnvelopeError::Unsealed));
        assert_eq!(Envelope::decode(&bytes, &seal()), Err(EnvelopeError::Unsealed), "no tag");
        assert_eq!(Envelope::claimed_store(&whole), Some(envelope().store));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() { *first = ENVELOPE_VERSION; }
            let _answered = Envelope::decode(&sealed(&bytes), &seal());
            let _claimed = Envelope::claimed_store(&bytes);
        }
    }
}
