//! How a client names a conversation: by its id, or a direct one by the other user.

use std::borrow::Cow;

use super::ErrorReply;
use super::fields::Fields;
use crate::domain::{Conversation, UserId};

/// A conversation as a client names it. Which one that is depends on the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum ConversationRef<'a> {
    /// By its id, in any spelling.
    Id(Cow<'a, str>),
    /// The direct one with a user, by the raw id.
    User(Cow<'a, str>),
}

impl<'a> ConversationRef<'a> {
    /// Takes `conversation` or `user` from the fields, exactly one of them.
    pub(super) fn read(fields: &mut Fields<'a>) -> Result<Self, ErrorReply> {
        match (fields.string("conversation")?, fields.string("user")?) {
            (Some(id), None) => Ok(Self::Id(id)),
            (None, Some(user)) => Ok(Self::User(user)),
            (None, None) => Err(ErrorReply::bad_request("`conversation` or `user` is missing")),
            (Some(_), Some(_)) => {
                Err(ErrorReply::bad_request("`conversation` and `user` exclude each other"))
            }
        }
    }

    /// Returns the conversation that `me` means.
    pub fn resolve(&self, me: &UserId) -> Result<Conversation, ErrorReply> {
        match self {
            Self::Id(id) => Conversation::read(id, me)
                .map_err(|error| ErrorReply::bad_request(format!("`conversation`: {error}"))),
            Self::User(user) => UserId::from_raw(user.as_bytes())
                .map(|user| Conversation::between(me, &user))
                .map_err(|error| ErrorReply::bad_request(format!("`user`: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        let mut fields = Fields::read_body(text, 1).unwrap();
        let me = UserId::parse("me").unwrap();
        let conversation = ConversationRef::read(&mut fields).and_then(|found| found.resolve(&me));
        conversation.map(|it| it.to_string()).map_err(|refusal| refusal.message.into_owned())
    }

    #[test]
    fn a_user_is_named_by_the_raw_id() {
        let table = [
            (r#"{"user":"bob@example.com"}"#, "dm.bob@example%2Ecom.me"),
            (r#"{"user":"100%"}"#, "dm.100%25.me"),
            (r#"{"user":"a%2Eb"}"#, "dm.a%252Eb.me"),
            (r#"{"conversation":"user.a%2eb"}"#, "dm.a%2Eb.me"),
            (r#"{"conversation":"room.r","user":null}"#, "room.r"),
        ];
        for (text, conversation) in table {
            assert_eq!(resolved(text).as_deref(), Ok(conversation), "{text}");
        }
    }

    #[test]
    fn refusals_name_the_field() {
        let table = [
            ("{}", "`conversation` or `user` is missing"),
            (
                r#"{"conversation":"room.r","user":"a"}"#,
                "`conversation` and `user` exclude each other",
            ),
            (r#"{"user":""}"#, "`user`: an empty token at byte 0"),
            (r#"{"user":1}"#, "`user` must be a string, not 1"),
            (
                r#"{"conversation":"x"}"#,
                "`conversation`: must be `dm.<a>.<b>`, `room.<id>` or `user.<id>`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(resolved(text), Err(message.to_owned()), "{text}");
        }
    }
}
