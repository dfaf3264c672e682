//! Positions in an inbox: the order of conversations, and where a page ended.
//!
//! ```text
//! base64url: version 1 | time 8, microseconds, big-endian | the conversation's name
//! ```

use std::cmp::Reverse;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{Conversation, ID_BYTES_MAX, Micros, UserId};
use crate::protocol::ErrorReply;

const VERSION: u8 = 1;
const TIME_BYTES: usize = 8;

/// The time of dormant conversations, below that of any message.
const DORMANT: Micros = Micros(0);

/// The longest token, as bytes: two ids with `dm.` and `.` are the longest name.
const BYTES_MAX: usize = 1 + TIME_BYTES + 2 * ID_BYTES_MAX + 4;

/// The longest token, as text.
const TEXT_MAX: usize = BYTES_MAX.div_ceil(3) * 4;

/// The position of a conversation in an inbox. Recently active ones come first, by name if their
/// times are equal. Dormant ones follow in the store's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InboxCursor {
    active: Reverse<Micros>,
    pub(super) conversation: Conversation,
}

impl InboxCursor {
    pub(super) const fn new(active: Micros, conversation: Conversation) -> Self {
        Self { active: Reverse(active), conversation }
    }

    /// Returns the position of a direct conversation without activity in the time that is recorded.
    pub(super) const fn dormant(conversation: Conversation) -> Self {
        Self::new(DORMANT, conversation)
    }

    /// Returns whether the conversation is dormant.
    pub(super) fn is_dormant(&self) -> bool {
        self.active() == DORMANT && matches!(self.conversation, Conversation::Dm(..))
    }

    /// Returns when the conversation was last active.
    pub(super) const fn active(&self) -> Micros {
        self.active.0
    }

    /// Returns the token by which the next page goes on behind this position.
    pub(super) fn token(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.active().0.to_be_bytes());
        bytes.extend(self.conversation.to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token. A client may make one up: it only selects where a page begins.
    pub(super) fn read(token: &str, me: &UserId) -> Result<Self, ErrorReply> {
        let malformed = || ErrorReply::bad_request("`next` must be what an `inbox` before gave");
        if token.len() > TEXT_MAX {
            let message =
                format!("`next` has {} bytes, at most {TEXT_MAX} are allowed", token.len());
            return Err(ErrorReply::bad_request(message));
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
        let [VERSION, rest @ ..] = &bytes[..] else { return Err(malformed()) };
        let (time, name) = rest.split_first_chunk::<TIME_BYTES>().ok_or_else(malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| malformed())?;
        let conversation = Conversation::parse(name, me).map_err(|_| malformed())?;
        Ok(Self::new(Micros(u64::from_be_bytes(*time)), conversation))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Code;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn place(active: u64, other: &str) -> InboxCursor {
        InboxCursor::new(Micros(active), Conversation::between(&user("me"), &user(other)))
    }

    #[test]
    fn the_recently_active_come_first() {
        let mut places = [place(5, "b"), place(9, "z"), place(5, "a"), place(7, "c")];
        places.sort();
        let names = places.map(|place| place.conversation.to_string());
        assert_eq!(names, ["dm.me.z", "dm.c.me", "dm.a.me", "dm.b.me"]);
    }

    #[test]
    fn the_longest_names_have_tokens() {
        let [one, two] = ["a", "b"].map(|letter| user(&letter.repeat(ID_BYTES_MAX)));
        let longest = InboxCursor::new(Micros(u64::MAX), Conversation::between(&one, &two));
        assert_eq!(InboxCursor::read(&longest.token(), &one), Ok(longest.clone()));
        assert!(longest.token().len() <= TEXT_MAX);
    }

    #[test]
    fn what_is_no_token_is_refused_by_the_fields_name() {
        let wrong_version = URL_SAFE_NO_PAD.encode([2; 20]);
        let no_name = URL_SAFE_NO_PAD.encode([VERSION; 9]);
        let no_text = URL_SAFE_NO_PAD.encode([VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF]);
        for text in ["", "x", "?", &wrong_version, &no_name, &no_text, &"A".repeat(5000)] {
            let refusal = InboxCursor::read(text, &user("me")).unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest, "{text}");
            assert!(refusal.message.starts_with("`next` "), "{text}: {}", refusal.message);
        }
    }

    proptest! {
        #[test]
        fn a_token_gives_its_place_back(active: u64, other in "[a-z]{1,9}") {
            let place = place(active, &other);
            prop_assert_eq!(InboxCursor::read(&place.token(), &user("me")), Ok(place));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,60}") {
            let _answered = InboxCursor::read(&text, &user("me"));
        }
    }
}
