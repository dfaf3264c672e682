//! Cursors on the wire: opaque to clients, and valid for one user of one store.
//!
//! ```text
//! base64url: version 1 | time 8, microseconds, big-endian | seal 8
//! ```
//! The seal is the beginning of an HMAC-SHA256, under the store's key, of everything before it, the
//! store's number and the user.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{Micros, UserId};

const VERSION: u8 = 1;
const TIME_BYTES: usize = 8;
const SEAL_BYTES: usize = 8;
const BYTES: usize = 1 + TIME_BYTES + SEAL_BYTES;

/// Why a cursor cannot be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It is not a cursor of a version that this node knows.
    #[error("is not a cursor of a version that this node knows")]
    Unreadable,
    /// It belongs to another user or another store, or is forged.
    #[error("is another user's or another store's")]
    Foreign,
}

/// Seals and opens cursors of one store.
#[derive(Debug)]
pub struct CursorSeal {
    key: Key,
    store: u64,
}

impl CursorSeal {
    /// The seal of a store, with the secret that was made with the store.
    pub fn new(secret: &[u8; 32], store: u64) -> Self {
        Self { key: Key::new(HMAC_SHA256, secret), store }
    }

    /// The text of a cursor.
    pub fn seal(&self, user: &UserId, time: Micros) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..=TIME_BYTES].copy_from_slice(&time.0.to_be_bytes());
        let seal = self.sign(user, &bytes[..=TIME_BYTES]);
        bytes[1 + TIME_BYTES..].copy_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The time of a cursor that was sealed here for this user.
    pub fn open(&self, user: &UserId, text: &str) -> Result<Micros, CursorError> {
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if length != Ok(BYTES) || bytes[0] != VERSION {
            return Err(CursorError::Unreadable);
        }
        let (claim, seal) = bytes.split_at(1 + TIME_BYTES);
        if self.sign(user, claim) != seal {
            return Err(CursorError::Foreign);
        }
        let time: [u8; TIME_BYTES] = claim[1..].try_into().expect("a claim has this length");
        Ok(Micros(u64::from_be_bytes(time)))
    }

    fn sign(&self, user: &UserId, claim: &[u8]) -> [u8; SEAL_BYTES] {
        let mut context = Context::with_key(&self.key);
        context.update(claim);
        context.update(&self.store.to_be_bytes());
        context.update(user.as_str().as_bytes());
        let tag = context.sign();
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&tag.as_ref()[..SEAL_BYTES]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn a_cursor_is_of_use_to_its_user_and_store_only() {
        let seal = CursorSeal::new(&[7; 32], 1);
        let text = seal.seal(&user("alice"), Micros(1_795_492_901_612_345));
        assert_eq!(text, "AQAGYP3EmOs5jrTooax7qFc", "golden");
        assert_eq!(seal.open(&user("alice"), &text), Ok(Micros(1_795_492_901_612_345)));
        assert_eq!(seal.open(&user("bob"), &text), Err(CursorError::Foreign));
        let other_store = CursorSeal::new(&[7; 32], 2);
        assert_eq!(other_store.open(&user("alice"), &text), Err(CursorError::Foreign));
        let other_key = CursorSeal::new(&[8; 32], 1);
        assert_eq!(other_key.open(&user("alice"), &text), Err(CursorError::Foreign));
    }

    #[test]
    fn anything_else_is_unreadable() {
        let seal = CursorSeal::new(&[7; 32], 1);
        for text in ["", "x", "not base64!", &"A".repeat(23), &"A".repeat(500)] {
            assert_eq!(seal.open(&user("alice"), text), Err(CursorError::Unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_altered_cursor_opens(at in 0..23_usize, to in 0..64_u8) {
            let seal = CursorSeal::new(&[7; 32], 1);
            let text = seal.seal(&user("alice"), Micros(1 << 50));
            let mut altered = text.clone().into_bytes();
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            altered[at] = alphabet[usize::from(to)];
            let altered = String::from_utf8(altered).unwrap();
            prop_assume!(altered != text);
            prop_assert!(seal.open(&user("alice"), &altered).is_err());
        }
    }
}
