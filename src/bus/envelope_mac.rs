//! The tag of an envelope. It proves that a node of the same store made the envelope: other clients
//! of Redis do not have the store's key, and cannot make the tag.
//!
//! The tag is a BLAKE3 hash of all bytes before it, cut to 128 bits. Its key is derived from the
//! store's key. Another client of Redis can still repeat an envelope that it received. Nodes
//! deliver a message once, by its id, and a membership counts by its stamp.

use bytes::Bytes;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// What the key is derived for: no other use of the store's key gives the same key.
const CONTEXT: &str = "narrowcast 2026-11 tags of envelopes";

/// The key of a store's envelopes.
#[derive(Clone)]
pub struct EnvelopeMac {
    key: [u8; 32],
    id: u32,
}

impl std::fmt::Debug for EnvelopeMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("id", &self.id).finish_non_exhaustive()
    }
}

impl EnvelopeMac {
    /// Derives the key from the store's, and a number that identifies it.
    pub fn of_store(store_key: &[u8; 32]) -> Self {
        let key = blake3::derive_key(CONTEXT, store_key);
        let [a, b, c, d, ..] = *blake3::hash(&key).as_bytes();
        Self { key, id: u32::from_be_bytes([a, b, c, d]) }
    }

    /// The number that identifies the key.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The tag of these bytes.
    pub(super) fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let [tag @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            *blake3::keyed_hash(&self.key, bytes).as_bytes();
        tag
    }

    /// Returns the bytes before the tag, if the tag is right.
    pub(super) fn open(&self, sealed: &Bytes) -> Option<Bytes> {
        let end = sealed.len().checked_sub(TAG_BYTES)?;
        let tag = self.tag(&sealed[..end]);
        // The comparison takes the same time for every tag, so that a tag cannot be guessed byte by
        // byte.
        let differing = tag.iter().zip(&sealed[end..]);
        let difference = differing.fold(0, |all, (one, other)| all | (one ^ other));
        (difference == 0).then(|| sealed.slice(..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(seal: &EnvelopeMac, bytes: &[u8]) -> Bytes {
        [bytes, &seal.tag(bytes)].concat().into()
    }

    /// Nodes of the version before make and check the same.
    #[test]
    fn golden_tag() {
        let seal = EnvelopeMac::of_store(&[3; 32]);
        assert_eq!(format!("{:08x}", seal.id()), "7b80a06f");
        let tag = u128::from_be_bytes(seal.tag(b"an envelope"));
        assert_eq!(format!("{tag:032x}"), "818ab4ae9c5cb068911abe1f43aaaa05");
    }

    #[test]
    fn what_a_store_sealed_only_that_store_opens() {
        let (seal, other) = (EnvelopeMac::of_store(&[1; 32]), EnvelopeMac::of_store(&[2; 32]));
        assert_ne!(seal.id(), other.id());
        assert_eq!(seal.id(), EnvelopeMac::of_store(&[1; 32]).id(), "on every node");
        let bytes = sealed(&seal, b"an envelope");
        assert_eq!(seal.open(&bytes).unwrap(), &b"an envelope"[..]);
        assert_eq!(other.open(&bytes), None);
    }

    #[test]
    fn no_byte_can_be_changed_and_none_cut_off() {
        let seal = EnvelopeMac::of_store(&[1; 32]);
        let bytes = sealed(&seal, b"an envelope");
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed.into()), None, "byte {at}");
            assert_eq!(seal.open(&bytes.slice(..at)), None, "cut at {at}");
        }
    }

    #[test]
    fn it_prints_no_key() {
        let text = format!("{:?}", EnvelopeMac::of_store(&[7; 32]));
        assert!(text.starts_with("Seal { id: ") && text.ends_with(", .. }"), "{text}");
    }
}
