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
    /// More than one dot between the ids of a direct conversation.
    #[error("`dm.` is followed by two ids with one dot between them; a dot in an id is %2E")]
    Dots,
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

    /// Reads a conversation as a client of `me` spells it. The ids in it may have any spelling. A
    /// plain dot is read as part of an id, except in `dm.`, where it separates two.
    pub fn read(text: &str, me: &UserId) -> Result<Self, ConversationError> {
        if let Some(other) = text.strip_prefix("user.") {
            return Ok(Self::between(me, &UserId::read(other)?));
        }
        if let Some(room) = text.strip_prefix("room.") {
            return Ok(Self::Room(RoomId::read(room)?));
        }
        let ids = text.strip_prefix("dm.").ok_or(ConversationError::Form)?;
        let (a, b) = ids.split_once('.').ok_or(ConversationError::Form)?;
        if b.contains('.') {
            return Err(ConversationError::Dots);
        }
        Self::ordered(UserId::read(a)?, UserId::read(b)?)
    }

    /// Reads a conversation in the canonical spelling. `user.<id>` is the direct one of `me` and
    /// that user.
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
        Self::ordered(UserId::parse(a)?, UserId::parse(b)?)
    }

    fn ordered(a: UserId, b: UserId) -> Result<Self, ConversationError> {
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

    /// The kind of conversation, as clients read it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dm(..) => "dm",
            Self::Room(_) => "room",
        }
    }

    /// The other user of a direct conversation; the user of a note to oneself.
    pub fn peer_of(&self, user: &UserId) -> Option<&UserId> {
        match self {
            Self::Dm(a, b) => Some(if a == user { b } else { a }),
            Self::Room(_) => None,
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
    fn any_spelling_is_the_same_conversation() {
        let me = user("me");
        let table = [
            ("user.bob@example.com", "dm.bob@example%2Ecom.me"),
            ("user.bob%40example%2ecom", "dm.bob@example%2Ecom.me"),
            ("dm.bob%40example%2Ecom.%6De", "dm.bob@example%2Ecom.me"),
            ("room.a.b c", "room.a%2Eb%20c"),
            ("room.%61%2eb%20c", "room.a%2Eb%20c"),
        ];
        for (text, canonical) in table {
            let read = Conversation::read(text, &me).unwrap();
            assert_eq!(read.to_string(), canonical, "{text}");
            assert_eq!(Conversation::parse_full(canonical).unwrap(), read);
        }
        let error = |text: &str| Conversation::read(text, &me).unwrap_err();
        assert_eq!(error("dm.a.b.c"), ConversationError::Dots);
        assert!(matches!(error("dm.b.a"), ConversationError::Order { .. }));
        assert_eq!(error("dm.a"), ConversationError::Form);
        assert_eq!(error("topic.x"), ConversationError::Form);
    }

    #[test]
    fn the_peer_is_the_other_one() {
        let (me, bob) = (user("me"), user("bob"));
        assert_eq!(Conversation::between(&me, &bob).peer_of(&me), Some(&bob));
        assert_eq!(Conversation::between(&me, &me).peer_of(&me), Some(&me));
        let room = Conversation::Room(RoomId::parse("r").unwrap());
        assert_eq!((room.peer_of(&me), room.kind()), (None, "room"));
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
