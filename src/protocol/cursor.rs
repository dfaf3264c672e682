//! Cursors on the wire: opaque to clients, and valid for one user of one store.
//!
//! ```text
//! base64url: version 1 | store 4 | user 4 | time 8, microseconds, big-endian | seal 8
//! ```
//! The seal is the beginning of an HMAC-SHA256 of everything before it, under the store's key. The
//! store and the user are HMACs under that key too. So a node can tell whose a cursor is, and
//! no client learns that from it or can make one.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ResumeReason;
use crate::domain::{Micros, UserId};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 4;
const TIME_BYTES: usize = 8;
const SEAL_BYTES: usize = 8;
const CLAIM_BYTES: usize = 1 + 2 * TAG_BYTES + TIME_BYTES;
const BYTES: usize = CLAIM_BYTES + SEAL_BYTES;

/// What an HMAC is made of, so that none can stand for another one.
#[derive(Clone, Copy)]
enum Purpose {
    Store = 1,
    User = 2,
    Seal = 3,
}

/// Seals and opens cursors of one store.
#[derive(Debug)]
pub struct CursorSeal {
    key: Key,
    store: [u8; TAG_BYTES],
}

impl CursorSeal {
    /// The seal of a store, with the secret that was made with the store.
    pub fn new(secret: &[u8; 32], store: u64) -> Self {
        let key = Key::new(HMAC_SHA256, secret);
        let store = sign(&key, Purpose::Store, &store.to_be_bytes());
        Self { key, store }
    }

    /// The text of a cursor.
    pub fn seal(&self, user: &UserId, time: Micros) -> String {
        let (store, user) = (self.store, self.user_tag(user));
        let claim = [&[VERSION][..], &store, &user, &time.0.to_be_bytes()].concat();
        let seal: [u8; SEAL_BYTES] = sign(&self.key, Purpose::Seal, &claim);
        URL_SAFE_NO_PAD.encode([&claim[..], &seal].concat())
    }

    /// The time of a cursor that was sealed here for this user.
    ///
    /// One that was altered in one part is [`ResumeReason::Unreadable`]. If the name of the store
    /// and another part were altered, nothing shows whose it was: it is
    /// [`ResumeReason::OtherStore`].
    pub fn open(&self, user: &UserId, text: &str) -> Result<Micros, ResumeReason> {
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if length != Ok(BYTES) || bytes[0] != VERSION {
            return Err(ResumeReason::Unreadable);
        }
        let (claim, seal) = bytes.split_at(CLAIM_BYTES);
        let (store, rest) = claim[1..].split_at(TAG_BYTES);
        let (owner, time) = rest.split_at(TAG_BYTES);
        // Sealed as this store would have done it: an altered name of the store is found by that.
        let own = [&[VERSION][..], &self.store, rest].concat();
        let is_own = sign::<SEAL_BYTES>(&self.key, Purpose::Seal, &own) == seal;
        if !is_own && store != self.store {
            return Err(ResumeReason::OtherStore);
        }
        if !is_own || store != self.store {
            return Err(ResumeReason::Unreadable);
        }
        if owner != self.user_tag(user) {
            return Err(ResumeReason::OtherUser);
        }
        let time: [u8; TIME_BYTES] = time.try_into().expect("a claim ends with its time");
        Ok(Micros(u64::from_be_bytes(time)))
    }

    fn user_tag(&self, user: &UserId) -> [u8; TAG_BYTES] {
        sign(&self.key, Purpose::User, user.as_str().as_bytes())
    }
}

/// The beginning of an HMAC.
fn sign<const LENGTH: usize>(key: &Key, purpose: Purpose, bytes: &[u8]) -> [u8; LENGTH] {
    let mut context = Context::with_key(key);
    context.update(&[purpose as u8]);
    context.update(bytes);
    let tag = context.sign();
    let mut beginning = [0; LENGTH];
    beginning.copy_from_slice(&tag.as_ref()[..LENGTH]);
    beginning
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
        assert_eq!(text, "AZgT6snL-XkTAAZg_cSY6zmx-n-K7Vaghw", "golden");
        assert_eq!(seal.open(&user("alice"), &text), Ok(Micros(1_795_492_901_612_345)));
        assert_eq!(seal.open(&user("bob"), &text), Err(ResumeReason::OtherUser));
        let other_store = CursorSeal::new(&[7; 32], 2);
        assert_eq!(other_store.open(&user("alice"), &text), Err(ResumeReason::OtherStore));
        let other_key = CursorSeal::new(&[8; 32], 1);
        assert_eq!(other_key.open(&user("alice"), &text), Err(ResumeReason::OtherStore));
    }

    #[test]
    fn anything_else_is_unreadable() {
        let seal = CursorSeal::new(&[7; 32], 1);
        for text in ["", "x", "not base64!", &"A".repeat(34), &"A".repeat(500)] {
            assert_eq!(seal.open(&user("alice"), text), Err(ResumeReason::Unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_altered_cursor_opens_for_anybody(at in 0..34_usize, to in 0..64_u8) {
            let seal = CursorSeal::new(&[7; 32], 1);
            let text = seal.seal(&user("alice"), Micros(1 << 50));
            let mut altered = text.clone().into_bytes();
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            altered[at] = alphabet[usize::from(to)];
            let altered = String::from_utf8(altered).unwrap();
            prop_assume!(altered != text);
            let refused = seal.open(&user("alice"), &altered);
            // This character has bits of the store and of the user.
            let is_of_two_parts = at == 6;
            let reasons = [ResumeReason::Unreadable, ResumeReason::OtherStore];
            let allowed = &reasons[..=usize::from(is_of_two_parts)];
            prop_assert!(refused.is_err_and(|reason| allowed.contains(&reason)), "{refused:?}");
        }
    }
}
