//! What a send says: the content that a nonce stands for.

use xxhash_rust::xxh3::Xxh3;

use super::{Conversation, canonical};

/// What a nonce stands for: the hash of a conversation and of the value of a body. Its first byte
/// is the version of the hash. A client that tries cannot find two contents with one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendContent(pub u128);

/// The version of [`SendContent`]: the beginning of a BLAKE3 hash.
const VERSION: u8 = 3;

/// The version before it, which records of the last 24 hours may have: XXH3 of the same input.
const XXH3_VERSION: u8 = 2;

impl SendContent {
    /// Hashes a conversation and a body.
    pub fn of(conversation: &Conversation, body: &[u8]) -> Self {
        let hash = blake3::hash(&input(conversation, body));
        let (beginning, _) = hash.as_bytes().split_first_chunk().expect("it has 32 bytes");
        versioned(VERSION, *beginning)
    }

    fn of_xxh3(conversation: &Conversation, body: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&input(conversation, body));
        versioned(XXH3_VERSION, hash.digest128().to_be_bytes())
    }

    /// Returns whether a record is of this content, which is that of `conversation` and `body`. A
    /// record that no known version of the program wrote cannot be compared, and counts as a match.
    pub fn is_recorded_as(self, record: u128, conversation: &Conversation, body: &[u8]) -> bool {
        match record.to_be_bytes()[0] {
            VERSION => record == self.0,
            XXH3_VERSION => record == Self::of_xxh3(conversation, body).0,
            _ => true,
        }
    }
}

/// What is hashed. No name of a conversation contains a zero byte, so no two pairs have one input.
fn input(conversation: &Conversation, body: &[u8]) -> Vec<u8> {
    [conversation.to_string().as_bytes(), &[0], &canonical(body)].concat()
}

fn versioned(version: u8, hash: [u8; 16]) -> SendContent {
    let mut bytes = hash;
    bytes[0] = version;
    SendContent(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn dm(other: &str) -> Conversation {
        let user = |id| UserId::parse(id).unwrap();
        Conversation::between(&user("alice"), &user(other))
    }

    #[test]
    fn content_is_conversation_and_body() {
        let content = SendContent::of(&dm("bob"), b"1");
        assert_eq!(content, SendContent::of(&dm("bob"), b"1"));
        assert_ne!(content, SendContent::of(&dm("bob"), b"2"));
        assert_ne!(content, SendContent::of(&dm("bob2"), b""));
        assert_eq!(content, SendContent::of(&dm("bob"), b" 1.0"), "the value counts");
        // Records outlive the program that wrote them: the version, then the hash of
        // `dm.alice.bob`, NUL and the value.
        assert_eq!(format!("{:032x}", content.0), "03925aac826ca498607a292c33c9c12e");
        let hash = blake3::hash(b"dm.alice.bob\0#+1e0;").to_hex();
        assert_eq!(format!("{:032x}", content.0)[2..], hash[2..32]);
    }

    #[test]
    fn a_record_is_compared_by_its_own_version() {
        let (conversation, body) = (dm("bob"), b"1");
        let content = SendContent::of(&conversation, body);
        let is_of = |record: u128| content.is_recorded_as(record, &conversation, body);
        assert!(is_of(content.0) && !is_of(SendContent::of(&conversation, b"2").0));
        let before = xxhash_rust::xxh3::xxh3_128(b"dm.alice.bob\0#+1e0;") << 8 >> 8 | 2 << 120;
        assert!(is_of(before) && !is_of(before ^ 1));
        assert!(is_of(7) && is_of(4 << 120), "of an unknown version it is believed");
    }
}
