//! Subjects, the keys that they are routed by, and the classes of keys.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::spelling::respelled;
use super::token::{self, GrammarError};
use super::{RoomId, UserId};

/// The longest subject or pattern, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 512;

const TOKENS_MIN: usize = 2;
const TOKENS_MAX: usize = 8;

/// Which kind of interest a key belongs to. Each class has buckets of its own. So watching a
/// contact's presence never brings that contact's messages to the watcher's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// `u`: users' own sessions.
    User,
    /// `c`: rooms.
    Room,
    /// `t`: topics and presence.
    Topic,
}

impl Class {
    /// Every class, in the order of their wire numbers.
    pub const ALL: [Self; 3] = [Self::User, Self::Room, Self::Topic];

    /// The letter of the class in a channel's name.
    pub const fn letter(self) -> char {
        match self {
            Self::User => 'u',
            Self::Room => 'c',
            Self::Topic => 't',
        }
    }

    /// The name of the class for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Room => "room",
            Self::Topic => "topic",
        }
    }

    /// The class of subjects that begin with `kind`.
    pub(super) fn of_kind(kind: &str) -> Result<Self, GrammarError> {
        match kind {
            "user" => Ok(Self::User),
            "room" => Ok(Self::Room),
            "topic" | "presence" => Ok(Self::Topic),
            other => Err(GrammarError::Kind { found: other.chars().take(32).collect() }),
        }
    }
}

/// A subject's first two tokens: the unit that is hashed and routed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingKey(Arc<str>);

impl RoutingKey {
    /// The key of a user's own sessions.
    pub fn user(user: &UserId) -> Self {
        Self(format!("user.{user}").into())
    }

    /// The key of a room.
    pub fn room(room: &RoomId) -> Self {
        Self(format!("room.{room}").into())
    }

    /// Reads a key: two tokens, the first of which names a kind.
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        check_text(text)?;
        let tokens = token_count(text);
        if tokens != TOKENS_MIN {
            return Err(GrammarError::Tokens { tokens });
        }
        Ok(Self(text.into()))
    }

    /// The key of the first two tokens of a checked text: the text itself, shared, if it has no
    /// others.
    pub(super) fn of_checked(text: &Arc<str>) -> Self {
        let key = first_two(text);
        if key.len() == text.len() { Self(Arc::clone(text)) } else { Self(key.into()) }
    }

    /// The class that the key belongs to. That it begins with a kind was checked when it was made.
    pub fn class(&self) -> Class {
        if self.as_user().is_some() {
            Class::User
        } else if self.as_room().is_some() {
            Class::Room
        } else {
            Class::Topic
        }
    }

    /// The user whose key this is, if it is a user's.
    pub fn as_user(&self) -> Option<&str> {
        self.0.strip_prefix("user.")
    }

    /// The room whose key this is, if it is a room's.
    pub fn as_room(&self) -> Option<&str> {
        self.0.strip_prefix("room.")
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RoutingKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What an event is about: 2 to 8 dot-separated tokens, the first of which names its kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Reads a subject.
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        check_text(text)?;
        Ok(Self(text.into()))
    }

    /// Reads a subject as a client spells it.
    pub fn read(text: &str) -> Result<Self, GrammarError> {
        Self::parse(&respelled(text))
    }

    /// The key that routes the subject.
    pub fn key(&self) -> RoutingKey {
        RoutingKey::of_checked(&self.0)
    }

    /// The subject's tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        token::split(&self.0)
    }

    /// The class of the subject's key.
    pub fn class(&self) -> Class {
        self.key().class()
    }

    /// The subject's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The first two tokens of a text that has at least two.
pub(super) fn first_two(text: &str) -> &str {
    let mut dots = text.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
    dots.nth(1).map_or(text, |(dot, _)| &text[..dot])
}

fn token_count(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'.').count() + 1
}

/// The bounds that subjects and patterns share.
pub(super) fn check_size(text: &str) -> Result<(), GrammarError> {
    if text.len() > SUBJECT_BYTES_MAX {
        return Err(GrammarError::TooLong { bytes: text.len(), max: SUBJECT_BYTES_MAX });
    }
    let tokens = token_count(text);
    if (TOKENS_MIN..=TOKENS_MAX).contains(&tokens) {
        Ok(())
    } else {
        Err(GrammarError::Tokens { tokens })
    }
}

/// Each token of a text with the byte that it begins at.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    token::split(text).map(move |token| (token.as_ptr() as usize - start, token))
}

fn check_text(text: &str) -> Result<(), GrammarError> {
    check_size(text)?;
    for (at, token) in tokens(text) {
        token::check(token, at)?;
    }
    Class::of_kind(token::split(text).next().unwrap_or_default())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_the_first_two_tokens() {
        let subject = Subject::parse("topic.scores.goal").unwrap();
        assert_eq!(subject.key().as_str(), "topic.scores");
        assert_eq!(subject.class(), Class::Topic);
        assert_eq!(Subject::parse("presence.bob").unwrap().key().as_str(), "presence.bob");
        assert_eq!(RoutingKey::parse("user.42").unwrap().class(), Class::User);
    }

    #[test]
    fn a_key_is_of_the_class_of_its_kind() {
        for kind in ["user", "room", "topic", "presence"] {
            let key = RoutingKey::parse(&format!("{kind}.user")).unwrap();
            assert_eq!(Ok(key.class()), Class::of_kind(kind), "{kind}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong_and_where() {
        let error = |text: &str| Subject::parse(text).unwrap_err();
        assert_eq!(error("topic"), GrammarError::Tokens { tokens: 1 });
        assert_eq!(error("topic.1.2.3.4.5.6.7.8"), GrammarError::Tokens { tokens: 9 });
        assert_eq!(error("topic..x"), GrammarError::EmptyToken { at: 6 });
        assert_eq!(error("topic.a*"), GrammarError::Byte { byte: b'*', at: 7 });
        assert_eq!(error("dm.a.b"), GrammarError::Kind { found: "dm".into() });
        let long = format!("topic.{0}.{0}.{0}", "a".repeat(200));
        assert_eq!(error(&long), GrammarError::TooLong { bytes: 608, max: 512 });
    }

    proptest! {
        #[test]
        fn a_subject_is_its_tokens_joined(tokens in prop::collection::vec("[a-z0-9_@]{1,6}", 1..8)) {
            let text = format!("topic.{}", tokens.join("."));
            let subject = Subject::parse(&text).unwrap();
            prop_assert_eq!(subject.as_str(), &text);
            let key = format!("topic.{}", tokens[0]);
            prop_assert_eq!(subject.key(), RoutingKey::parse(&key).unwrap());
        }
    }
}
