//! What tells readers that two messages are one send.
//!
//! Readers get no nonce: it may be an order number or an address. They get a hash of the sender,
//! the nonce and the content, which is the same for every reader. Its key is derived from the
//! store's key, so that a reader cannot find a nonce by trying. With the content in it a reader has
//! nothing else to compare.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{Message, SendContent};

/// What the key is derived for: no other use of the store's key gives the same key.
const CONTEXT: &str = "narrowcast 2026-11 dedup of messages";

/// Bytes of the hash.
const HASH_BYTES: usize = 8;

/// Bytes of its text, in base64url without padding.
pub const DEDUP_BYTES: usize = (HASH_BYTES * 8).div_ceil(6);

/// Makes the `dedup` of a store's messages.
pub struct DedupKey([u8; 32]);

impl std::fmt::Debug for DedupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DedupKey").finish_non_exhaustive()
    }
}

impl DedupKey {
    /// Derives the key from the store's.
    pub fn of_store(store_key: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, store_key))
    }

    /// The `dedup` of a message; a message without a nonce has none.
    pub fn dedup(&self, message: &Message) -> Option<String> {
        let nonce = message.nonce.as_deref()?;
        let content = SendContent::of(&message.conversation, &message.body);
        let mut hash = blake3::Hasher::new_keyed(&self.0);
        hash.update(message.from.as_str().as_bytes());
        // No user id contains it, and the content has a fixed length: no two sends have the same
        // hash input.
        hash.update(&[0]);
        hash.update(&content.0.to_be_bytes());
        hash.update(nonce.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(&hash.finalize().as_bytes()[..HASH_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, MessageId, Micros, UserId};

    fn message(from: &str, nonce: &str, body: &'static str) -> Message {
        let user = |id| UserId::parse(id).unwrap();
        Message {
            id: MessageId::first_of(Micros(1)),
            conversation: Conversation::between(&user("alice"), &user("bob")),
            from: user(from),
            nonce: Some(nonce.into()),
            body: body.into(),
        }
    }

    #[test]
    fn a_send_has_one_and_no_other_send_has_it() {
        let key = DedupKey::of_store(&[7; 32]);
        let of = |message: &Message| key.dedup(message).unwrap();
        let first = of(&message("alice", "n", "1"));
        assert_eq!(first, "iP5lidNdGOE", "golden: every node of the store makes the same");
        assert_eq!(first.len(), DEDUP_BYTES);
        let later = Message { id: MessageId::first_of(Micros(2)), ..message("alice", "n", "1") };
        assert_eq!(of(&later), first);
        assert_eq!(of(&message("alice", "n", " 1.0")), first, "the value counts");
        for other in
            [message("bob", "n", "1"), message("alice", "m", "1"), message("alice", "n", "2")]
        {
            assert_ne!(of(&other), first, "{other:?}");
        }
        let other_store = DedupKey::of_store(&[8; 32]).dedup(&message("alice", "n", "1"));
        assert_ne!(other_store, Some(first));
        assert_eq!(key.dedup(&Message { nonce: None, ..message("alice", "n", "1") }), None);
    }

    #[test]
    fn it_prints_no_key() {
        assert_eq!(format!("{:?}", DedupKey::of_store(&[7; 32])), "DedupKey { .. }");
    }
}
