//! Conversations: what messages belong to.

use std::fmt;

use super::{GrammarError, RoomId, RoutingKey, UserId};

/// A conversation of two users or of a room's members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// A direct one, `dm.<a>.<b>`, the ids in byte order. A user may write to their own id.
    Dm(UserId, UserId),
    /// A room's, `room.<id>`.
    Room(RoomId),
}

/// Why a text names no conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConversationError {
    /// An id in it is malformed.
    #[error("{0}")]
    Id(#[from] GrammarError),
    /// The ids of a direct conversation are in the wrong order.
    #[error("`dm` ids must stand in byte order: `{a}` before `{b}`")]
    Order {
        /// The id that must come first.
        a: UserId,
        /// The id that must come second.
        b: UserId,
    },
    /// Neither `dm.<a>.<b>` nor `room.<id>` nor `user.<id>`.
    #[error("must be `dm.<a>.<b>`, `room.<id>` or `user.<id>`")]
    Form,
}

impl Conversation {
    /// The direct conversation of two users, whichever of them comes first.
    pub fn between(one: &UserId, two: &UserId) -> Self {
        if one <= two {
            Self::Dm(one.clone(), two.clone())
        } else {
            Self::Dm(two.clone(), one.clone())
        }
    }

    /// Reads a conversation as `me` writes it: `user.<id>` is the direct one with that user.
    pub fn parse(text: &str, me: &UserId) -> Result<Self, ConversationError> {
        match text.strip_prefix("user.") {
            Some(other) => Ok(Self::between(me, &UserId::parse(other)?)),
            None => Self::parse_full(text),
        }
    }

    /// Reads a conversation by its full name, which is the same for every user.
    pub fn parse_full(text: &str) -> Result<Self, ConversationError> {
        if let Some(room) = text.strip_prefix("room.") {
            return Ok(Self::Room(RoomId::parse(room)?));
        }
        let (a, b) = text
            .strip_prefix("dm.")
            .and_then(|ids| ids.split_once('.'))
            .ok_or(ConversationError::Form)?;
        let (a, b) = (UserId::parse(a)?, UserId::parse(b)?);
        if a > b { Err(ConversationError::Order { a: b, b: a }) } else { Ok(Self::Dm(a, b)) }
    }

    /// The routing keys of its participants: those of a direct conversation's one or two users, or
    /// the room's.
    pub fn keys(&self) -> impl Iterator<Item = RoutingKey> {
        let (first, second) = match self {
            Self::Dm(a, b) => (RoutingKey::user(a), (a != b).then(|| RoutingKey::user(b))),
            Self::Room(room) => (RoutingKey::room(room), None),
        };
        std::iter::once(first).chain(second)
    }

    /// The key that reaches one participant: the user's own, or the room's.
    pub fn key_of(&self, user: &UserId) -> RoutingKey {
        match self {
            Self::Dm(..) => RoutingKey::user(user),
            Self::Room(room) => RoutingKey::room(room),
        }
    }

    /// Whether `user` is one of the two of a direct conversation.
    pub fn is_direct_of(&self, user: &UserId) -> bool {
        matches!(self, Self::Dm(a, b) if a == user || b == user)
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dm(a, b) => write!(f, "dm.{a}.{b}"),
            Self::Room(room) => write!(f, "room.{room}"),
        }
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
    fn shorthand_and_full_form_are_one_conversation() {
        let me = user("bob");
        let dm = Conversation::parse("user.alice", &me).unwrap();
        assert_eq!(dm.to_string(), "dm.alice.bob");
        assert_eq!(Conversation::parse("dm.alice.bob", &me).unwrap(), dm);
        assert!(dm.is_direct_of(&me) && !dm.is_direct_of(&user("carol")));
    }

    #[test]
    fn refusals_say_why() {
        let error = |text: &str| Conversation::parse(text, &user("me")).unwrap_err().to_string();
        assert_eq!(error("dm.b.a"), "`dm` ids must stand in byte order: `a` before `b`");
        assert_eq!(error("topic.x"), "must be `dm.<a>.<b>`, `room.<id>` or `user.<id>`");
        assert_eq!(error("dm.a.b.c"), "byte 0x2E at 1 is not allowed in a token; write it as %2E");
        assert_eq!(error("user."), "an empty token at byte 0");
    }

    #[test]
    fn a_note_to_oneself_has_one_key() {
        let notes = Conversation::between(&user("a"), &user("a"));
        assert_eq!(notes.keys().count(), 1);
    }

    proptest! {
        #[test]
        fn text_and_conversation_map_one_to_one(a in "[a-z%@]{1,6}", b in "[a-z]{1,6}") {
            prop_assume!(!a.contains('%'));
            let dm = Conversation::between(&user(&a), &user(&b));
            prop_assert_eq!(Conversation::parse(&dm.to_string(), &user("x")).unwrap(), dm.clone());
            prop_assert_eq!(Conversation::between(&user(&b), &user(&a)), dm);
        }
    }
}
