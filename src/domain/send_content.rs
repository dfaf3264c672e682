//! What a send says: the content that a nonce stands for.

use xxhash_rust::xxh3::Xxh3;

use super::{Conversation, canonical};

/// What a nonce stands for: the hash of a conversation and of the value of a body. Its first byte
/// is the version of the hash's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendContent(pub u128);

/// The version of [`SendContent`].
const VERSION: u8 = 2;

impl SendContent {
    /// Hashes a conversation and a body.
    pub fn of(conversation: &Conversation, body: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(conversation.to_string().as_bytes());
        // No name of a conversation contains it, so no two pairs have the same hash input.
        hash.update(&[0]);
        hash.update(&canonical(body));
        let mut bytes = hash.digest128().to_be_bytes();
        bytes[0] = VERSION;
        Self(u128::from_be_bytes(bytes))
    }

    /// Returns whether a record is of this content. A record that another version of the program
    /// wrote cannot be compared, and counts as a match.
    pub const fn is_recorded_as(self, record: u128) -> bool {
        let [version, ..] = record.to_be_bytes();
        version != VERSION || record == self.0
    }
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
        let hash = xxhash_rust::xxh3::xxh3_128(b"dm.alice.bob\0#+1e0;");
        assert_eq!(content.0, (hash << 8 >> 8) | 2 << 120);
    }

    #[test]
    fn a_record_of_another_version_is_believed() {
        let content = SendContent::of(&dm("bob"), b"1");
        assert!(content.is_recorded_as(content.0) && content.is_recorded_as(7));
        assert!(!content.is_recorded_as(SendContent::of(&dm("bob"), b"2").0));
    }
}
