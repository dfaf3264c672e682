//! The query of a request. Parameters are read by type on demand, like the fields of a frame. As
//! there, repeated and unknown ones are refused.

use super::percent::decode;
use crate::domain::{MessageId, RoomId, UserId};
use crate::protocol::ErrorReply;

/// More parameters than any route has.
const PARAMETERS_MAX: usize = 8;

/// The longest value that an error repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// The parameters of a query.
#[derive(Debug, Default)]
pub(super) struct Query {
    list: Vec<(String, String)>,
}

impl Query {
    /// Reads `name=value&…`.
    pub(super) fn read(text: Option<&str>) -> Result<Self, ErrorReply> {
        let mut list = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = |text| {
                let wrong = |error| ErrorReply::bad_request(format!("the query: {error}"));
                decode(text).map_err(wrong)
            };
            let (name, value) = (read(name)?, read(value)?);
            if list.iter().any(|(known, _)| *known == name) {
                return Err(ErrorReply::bad_request(format!("`{}` is given twice", clip(&name))));
            }
            if list.len() == PARAMETERS_MAX {
                let message = format!("the query has more than {PARAMETERS_MAX} parameters");
                return Err(ErrorReply::bad_request(message));
            }
            list.push((name, value));
        }
        Ok(Self { list })
    }

    /// Takes a parameter's text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let at = self.list.iter().position(|(known, _)| known == name)?;
        Some(self.list.swap_remove(at).1)
    }

    /// Takes a parameter that is a message id.
    pub(super) fn message_id(&mut self, name: &str) -> Result<Option<MessageId>, ErrorReply> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| ErrorReply::bad_request(format!("`{name}` {error}")))
    }

    /// Takes a parameter that is a user id, in any spelling.
    pub(super) fn user_id(&mut self, name: &str) -> Result<Option<UserId>, ErrorReply> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let read = UserId::read(&text);
        read.map(Some).map_err(|error| ErrorReply::bad_request(format!("`{name}`: {error}")))
    }

    /// Takes a parameter that is a room id, in any spelling.
    pub(super) fn room_id(&mut self, name: &str) -> Result<Option<RoomId>, ErrorReply> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let read = RoomId::read(&text);
        read.map(Some).map_err(|error| ErrorReply::bad_request(format!("`{name}`: {error}")))
    }

    /// Takes the parameter `limit`: 1 to `max`, and `default` if it is missing.
    pub(super) fn limit(&mut self, default: usize, max: usize) -> Result<usize, ErrorReply> {
        let Some(text) = self.text("limit") else { return Ok(default.min(max)) };
        let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
        limit.ok_or_else(|| {
            let message = format!("`limit` must be from 1 to {max}, not {}", clip(&text));
            ErrorReply::bad_request(message)
        })
    }

    /// Refuses parameters that the route does not have.
    pub(super) fn finish(&self) -> Result<(), ErrorReply> {
        match self.list.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("`{}` is not a parameter of this route", clip(name));
                Err(ErrorReply::bad_request(message))
            }
        }
    }
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn query(text: &str) -> Query {
        Query::read(Some(text)).unwrap()
    }

    fn message<T: std::fmt::Debug>(result: Result<T, ErrorReply>) -> String {
        result.unwrap_err().message.into_owned()
    }

    #[test]
    fn parameters_are_typed_and_taken() {
        let mut all = query("limit=7&after=a%252Fb&&next=x+y%20z");
        assert_eq!(all.limit(50, 200), Ok(7));
        assert_eq!(all.user_id("after").unwrap().unwrap().as_str(), "a%2Fb");
        assert_eq!(all.text("next").as_deref(), Some("x+y z"));
        assert_eq!(all.message_id("before"), Ok(None));
        assert_eq!(all.finish(), Ok(()));
        assert_eq!(Query::read(None).unwrap().limit(50, 20), Ok(20));
    }

    #[test]
    fn refusals_name_the_parameter_the_bound_and_the_value() {
        let table = [
            ("limit=0", "`limit` must be from 1 to 200, not 0"),
            ("limit=201", "`limit` must be from 1 to 200, not 201"),
            ("limit=-1", "`limit` must be from 1 to 200, not -1"),
            ("limit", "`limit` must be from 1 to 200, not "),
        ];
        for (text, expected) in table {
            assert_eq!(message(query(text).limit(50, 200)), expected);
        }
        let wanted = "`before` must be a message id: a UUID of version 7 in its 36-character form";
        assert_eq!(message(query("before=x").message_id("before")), wanted);
        assert_eq!(message(query("after=").user_id("after")), "`after`: an empty token at byte 0");
        assert_eq!(message(query("x=1").finish()), "`x` is not a parameter of this route");
        assert_eq!(message(Query::read(Some("a=1&%61=2"))), "`a` is given twice");
        let many: Vec<String> = (0..9).map(|n| format!("p{n}")).collect();
        let many = message(Query::read(Some(&many.join("&"))));
        assert_eq!(many, "the query has more than 8 parameters");
        let escape = message(Query::read(Some("a=%zz")));
        assert_eq!(escape, "the query: `%` at byte 0 must be followed by two hex digits");
    }

    proptest! {
        #[test]
        fn any_query_is_answered(text in ".*") {
            let _answered = Query::read(Some(&text));
        }
    }
}
