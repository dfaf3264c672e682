//! The bodies of HTTP requests: objects of fields, read like those of frames.

use serde_json::value::RawValue;

use super::fields::{Fields, missing};
use super::op::{bounded, json, message_id};
use super::{ConversationRef, ErrorReply, PublishRequest, RequestBounds, SignalRequest};
use crate::domain::{
    HistoryVisibility, MemberRole, MessageId, NONCE_BYTES_MAX, ROOM_DATA_BYTES_MAX, UserId,
};

/// Events of one request: as many as are published in one step of a worker's loop.
pub const EVENTS_MAX: usize = 100;

/// The longest title of a room, in bytes: lists show it.
pub const TITLE_BYTES_MAX: usize = 256;

/// Levels of a body around one entry of its list: the body itself, and the list.
const LEVELS_AROUND_AN_ENTRY: usize = 2;

/// A message to be sent.
#[derive(Debug)]
pub struct MessageBody<'a> {
    /// The user who sends it, if it names one.
    pub from: Option<UserId>,
    /// The conversation that it goes to.
    pub conversation: ConversationRef<'a>,
    /// Any JSON value.
    pub body: &'a RawValue,
    /// The newest id that the sender has seen.
    pub seen: Option<MessageId>,
    /// The sender's idempotency key, for a message of a list.
    pub key: Option<Box<str>>,
}

impl<'a> MessageBody<'a> {
    /// Reads `{from?, conversation or user, body, seen?}`.
    pub fn read(text: &'a str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let mut fields = Fields::read_body(text, bounds.json_depth)?;
        let body = Self::take(&mut fields, bounds)?;
        fields.finish()?;
        Ok(body)
    }

    /// Reads the same with `idempotency_key?`.
    fn read_entry(text: &'a str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let mut fields = Fields::read_body(text, bounds.json_depth)?;
        let key = bounded(&mut fields, "idempotency_key", NONCE_BYTES_MAX)?.map(Into::into);
        let body = Self { key, ..Self::take(&mut fields, bounds)? };
        fields.finish()?;
        Ok(body)
    }

    fn take(fields: &mut Fields<'a>, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        Ok(Self {
            from: user_id(fields, "from")?,
            conversation: ConversationRef::read(fields)?,
            body: json(fields, "body", bounds.body_bytes)?,
            seen: message_id(fields, "seen")?,
            key: None,
        })
    }
}

/// Messages of one request.
pub const MESSAGES_MAX: usize = 100;

/// The longest body with messages, in bytes: a hundred of about 1,300 bytes each.
pub const MESSAGES_BYTES_MAX: usize = 131_072;

/// One message to be sent, or several.
#[derive(Debug)]
pub enum SendBody<'a> {
    /// The body is the message.
    One(MessageBody<'a>),
    /// The body lists messages, each with its own idempotency key.
    Many(Vec<MessageBody<'a>>),
}

impl<'a> SendBody<'a> {
    /// Reads a message, or `{messages: [...]}` of 1 to [`MESSAGES_MAX`] messages; a refusal names
    /// the message by its index.
    pub fn read(text: &'a str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        // Only names are read here, so that the depth does not matter yet.
        if !Fields::read_body(text, usize::MAX)?.has("messages") {
            return MessageBody::read(text, bounds).map(Self::One);
        }
        let list = read_entries(text, "messages", MESSAGES_MAX, bounds)?;
        let read = |(at, raw): (usize, &&'a RawValue)| {
            let message = MessageBody::read_entry(raw.get(), bounds);
            message.map_err(|refusal| refusal.of_item(&format!("`messages[{at}]`")))
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::Many)
    }
}

/// An event or a signal to be published.
#[derive(Debug)]
pub enum EventBody<'a> {
    /// An event about a subject.
    Event(PublishRequest<'a>),
    /// A signal, and the user who sends it, if it names one.
    Signal(SignalRequest<'a>, Option<UserId>),
}

impl<'a> EventBody<'a> {
    /// Reads `{events: [{subject, data} | {conversation or user, name, data, from?}]}` of 1 to
    /// [`EVENTS_MAX`] events; a refusal names the event by its index.
    pub fn read_list(text: &'a str, bounds: &RequestBounds) -> Result<Vec<Self>, ErrorReply> {
        let list = read_entries(text, "events", EVENTS_MAX, bounds)?;
        let read = |(at, raw): (usize, &&'a RawValue)| {
            let event = Self::read(raw.get(), bounds);
            event.map_err(|refusal| refusal.of_item(&format!("`events[{at}]`")))
        };
        list.iter().enumerate().map(read).collect()
    }

    fn read(text: &'a str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let mut fields = Fields::read_body(text, bounds.json_depth)?;
        let body = if fields.has("conversation") || fields.has("user") {
            let from = user_id(&mut fields, "from")?;
            Self::Signal(SignalRequest::read(&mut fields, bounds)?, from)
        } else {
            Self::Event(PublishRequest::read(&mut fields, bounds)?)
        };
        fields.finish()?;
        Ok(body)
    }
}

/// The settings of a new room.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RoomBody {
    /// Its title, in at most [`TITLE_BYTES_MAX`] bytes; an empty one removes it.
    pub title: Option<Box<str>>,
    /// What its clients keep with it, in at most [`ROOM_DATA_BYTES_MAX`] bytes of JSON; an empty
    /// text removes it.
    pub data: Option<Box<str>>,
    /// How much of the past its members see.
    pub past: Option<HistoryVisibility>,
    /// Its owner.
    pub owner: Option<UserId>,
}

impl RoomBody {
    /// Reads `{title?, data?, history_visibility?, owner?}`; an empty body counts as `{}`.
    pub fn read(text: &str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut fields = Fields::read_body(text, bounds.json_depth)?;
        let body = Self {
            title: room_title(&mut fields)?,
            data: room_data(&mut fields)?,
            past: fields.typed("history_visibility", "\"all\" or \"joined\"", |raw| {
                serde_json::from_str(raw.get()).ok()
            })?,
            owner: user_id(&mut fields, "owner")?,
        };
        fields.finish()?;
        Ok(body)
    }
}

/// The title of a room; an empty one removes it.
fn room_title(fields: &mut Fields<'_>) -> Result<Option<Box<str>>, ErrorReply> {
    let Some(title) = fields.string("title")? else { return Ok(None) };
    if title.len() <= TITLE_BYTES_MAX {
        return Ok(Some(title.into()));
    }
    let message =
        format!("`title` has {} bytes, at most {TITLE_BYTES_MAX} are allowed", title.len());
    Err(ErrorReply::bad_request(message))
}

/// The data of a room. `null` counts as absent, as for every other field of a room. The JSON value
/// `""` removes it, and is read as an empty text.
fn room_data(fields: &mut Fields<'_>) -> Result<Option<Box<str>>, ErrorReply> {
    if !fields.has("data") {
        return Ok(None);
    }
    let data = json(fields, "data", ROOM_DATA_BYTES_MAX)?.get();
    Ok(match data {
        "null" => None,
        "\"\"" => Some(Box::default()),
        data => Some(data.into()),
    })
}

/// The settings of a member.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberBody {
    /// The member's role; none keeps the role that is held.
    pub role: Option<MemberRole>,
}

impl MemberBody {
    /// Reads `{role?}`; an empty body counts as `{}`.
    pub fn read(text: &str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        if text.is_empty() {
            return Ok(Self { role: None });
        }
        let mut fields = Fields::read_body(text, bounds.json_depth)?;
        let role = role(&mut fields)?;
        fields.finish()?;
        Ok(Self { role })
    }
}

/// Members of one request.
pub const MEMBERS_MAX: usize = 1000;

/// The longest body with members, in bytes: a thousand ids of a hundred bytes each.
pub const MEMBERS_BYTES_MAX: usize = 131_072;

/// The members of one request.
#[derive(Debug, PartialEq, Eq)]
pub struct MembersBody {
    /// The users and their roles; each user once. No role keeps the one that is held.
    pub members: Vec<(UserId, Option<MemberRole>)>,
}

impl MembersBody {
    /// Reads `{members: [{user, role?}]}` of 1 to [`MEMBERS_MAX`] members; a refusal names the
    /// member by its index.
    pub fn read(text: &str, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let list = read_entries(text, "members", MEMBERS_MAX, bounds)?;
        let mut seen = ahash::AHashSet::with_capacity(list.len());
        let mut members = Vec::with_capacity(list.len());
        for (at, raw) in list.iter().enumerate() {
            let of_member = |refusal: ErrorReply| refusal.of_item(&format!("`members[{at}]`"));
            let (user, role) = read_member(raw.get(), bounds).map_err(of_member)?;
            if !seen.insert(user.clone()) {
                let twice = ErrorReply::bad_request(format!("`{user}` is given twice"));
                return Err(of_member(twice));
            }
            members.push((user, role));
        }
        Ok(Self { members })
    }
}

fn read_member(
    text: &str,
    bounds: &RequestBounds,
) -> Result<(UserId, Option<MemberRole>), ErrorReply> {
    let mut fields = Fields::read_body(text, bounds.json_depth)?;
    let user = user_id(&mut fields, "user")?.ok_or_else(|| missing("user"))?;
    let role = role(&mut fields)?;
    fields.finish()?;
    Ok((user, role))
}

/// A member's role, if it is given.
fn role(fields: &mut Fields<'_>) -> Result<Option<MemberRole>, ErrorReply> {
    let read = |raw: &RawValue| serde_json::from_str(raw.get()).ok();
    fields.typed("role", "\"owner\" or \"member\"", read)
}

/// An optional id of a user, in any spelling.
fn user_id(fields: &mut Fields<'_>, name: &str) -> Result<Option<UserId>, ErrorReply> {
    let Some(text) = fields.string(name)? else { return Ok(None) };
    let read = UserId::read(&text);
    read.map(Some).map_err(|error| ErrorReply::bad_request(format!("`{name}`: {error}")))
}

/// The entries of a body that is one list under a name, 1 to `most` of them.
fn read_entries<'a>(
    text: &'a str,
    name: &'static str,
    most: usize,
    bounds: &RequestBounds,
) -> Result<Vec<&'a RawValue>, ErrorReply> {
    let mut fields = Fields::read_body(text, bounds.json_depth + LEVELS_AROUND_AN_ENTRY)?;
    let list = fields.typed(name, "a list of objects", |raw| {
        serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()
    });
    let list = list?.ok_or_else(|| missing(name))?;
    fields.finish()?;
    if !(1..=most).contains(&list.len()) {
        let message = format!("`{name}` must be 1 to {most}, not {}", list.len());
        return Err(ErrorReply::bad_request(message));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: RequestBounds = RequestBounds {
        body_bytes: 20,
        data_bytes: 20,
        json_depth: 3,
        patterns: 2,
        history_messages: 200,
    };

    fn message(refusal: ErrorReply) -> String {
        refusal.message.into_owned()
    }

    #[test]
    fn a_message_names_what_is_wrong_with_it() {
        let table = [
            ("", "not a body: EOF while parsing a value at line 1 column 0"),
            ("[]", "not a body: invalid type: sequence, expected an object at line 1 column 0"),
            (r#"{"body":1} x"#, "not a body: trailing characters at line 1 column 12"),
            (
                r#"{"body":1,"b\u006fdy":2}"#,
                "not a body: `body` is given twice at line 1 column 21",
            ),
            (r#"{"body":1}"#, "`conversation` or `user` is missing"),
            (r#"{"conversation":"room.a"}"#, "`body` is missing"),
            (r#"{"conversation":"room.a","body":1,"op":"send"}"#, "`op` is not a field of it"),
            (
                r#"{"conversation":"room.a","body":1,"from":"a%b"}"#,
                "`from`: `%` at byte 1 must be followed by two hex digits; write a plain `%` as %25",
            ),
            (
                r#"{"conversation":"room.a","body":"0123456789012345678"}"#,
                "`body` has 21 bytes, at most 20 are allowed",
            ),
            (
                r#"{"conversation":"room.a","body":[[[]]]}"#,
                "the body nests 4 levels, at most 3 are allowed",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(message(MessageBody::read(text, &BOUNDS).unwrap_err()), expected, "{text}");
        }
    }

    #[test]
    fn messages_come_alone_or_as_a_list_with_keys() {
        let SendBody::One(one) = SendBody::read(r#"{"user":"bob","body":1}"#, &BOUNDS).unwrap()
        else {
            panic!("one message")
        };
        assert_eq!(one.key, None);
        let text = r#"{"messages":[{"user":"bob","body":[[1]],"idempotency_key":"k"},{"user":"bob","body":2}]}"#;
        let SendBody::Many(many) = SendBody::read(text, &BOUNDS).unwrap() else { panic!("a list") };
        let keys: Vec<Option<&str>> = many.iter().map(|message| message.key.as_deref()).collect();
        assert_eq!(keys, [Some("k"), None]);
        let many = vec![r#"{"user":"b","body":1}"#; MESSAGES_MAX + 1].join(",");
        let table = [
            (
                r#"{"user":"bob","body":1,"idempotency_key":"k"}"#,
                "`idempotency_key` is not a field of it",
            ),
            (r#"{"messages":[],"from":"a"}"#, "`from` is not a field of it"),
            (r#"{"messages":[]}"#, "`messages` must be 1 to 100, not 0"),
            (&format!(r#"{{"messages":[{many}]}}"#), "`messages` must be 1 to 100, not 101"),
            (
                r#"{"messages":[{"user":"b","body":1},{"user":"b","body":1,"idempotency_key":""}]}"#,
                "`messages[1]`: `idempotency_key` must be of 1 to 64 bytes, not 0",
            ),
            (
                r#"{"messages":[{"user":"b","body":[[[1]]]}]}"#,
                "the body nests 6 levels, at most 5 are allowed",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(message(SendBody::read(text, &BOUNDS).unwrap_err()), expected, "{text}");
        }
    }

    #[test]
    fn events_are_named_by_their_place() {
        let many = vec![r#"{"subject":"topic.a","data":1}"#; EVENTS_MAX + 1].join(",");
        let table = [
            (r#"{"events":[]}"#, "`events` must be 1 to 100, not 0"),
            (&format!(r#"{{"events":[{many}]}}"#), "`events` must be 1 to 100, not 101"),
            (r#"{"events":{}}"#, "`events` must be a list of objects, not {}"),
            ("{}", "`events` is missing"),
            (
                r#"{"events":[{"subject":"topic.a","data":1},{"subject":"topic.a"}]}"#,
                "`events[1]`: `data` is missing",
            ),
            (
                r#"{"events":[{"subject":"topic.a","data":1,"from":"bob"}]}"#,
                "`events[0]`: `from` is not a field of it",
            ),
            (
                r#"{"events":[7]}"#,
                "`events[0]`: not a body: invalid type: integer `7`, expected an object at line 1 column 1",
            ),
        ];
        for (text, expected) in table {
            let refusal = EventBody::read_list(text, &BOUNDS).unwrap_err();
            assert_eq!(message(refusal), expected, "{text}");
        }
    }

    #[test]
    fn an_event_nests_as_deep_as_in_a_frame() {
        let events =
            |data: &str| format!(r#"{{"events":[{{"subject":"topic.a","data":{data}}}]}}"#);
        assert_eq!(EventBody::read_list(&events("[[1]]"), &BOUNDS).unwrap().len(), 1);
        let refusal = EventBody::read_list(&events("[[[1]]]"), &BOUNDS).unwrap_err();
        assert_eq!(message(refusal), "the body nests 6 levels, at most 5 are allowed");
    }

    #[test]
    fn rooms_and_members_may_leave_everything_out() {
        for text in ["", "{}", r#"{"title":null,"data":null}"#] {
            assert_eq!(RoomBody::read(text, &BOUNDS).unwrap(), RoomBody::default(), "{text}");
        }
        for text in ["", "{}", r#"{"role":null}"#] {
            assert_eq!(MemberBody::read(text, &BOUNDS).unwrap().role, None, "{text}");
        }
        let member = MemberBody::read(r#"{"role":"member"}"#, &BOUNDS).unwrap();
        assert_eq!(member.role, Some(MemberRole::Member));
        let removed = RoomBody::read(r#"{"title":"","data":""}"#, &BOUNDS).unwrap();
        assert_eq!((removed.title.as_deref(), removed.data.as_deref()), (Some(""), Some("")));
        let text = r#"{"title":"T","data":{"a":1},"history_visibility":"joined","owner":"o"}"#;
        let room = RoomBody::read(text, &BOUNDS).unwrap();
        assert_eq!(
            (room.title.as_deref(), room.past),
            (Some("T"), Some(HistoryVisibility::Joined))
        );
        assert_eq!(room.data.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(room.owner, Some(UserId::parse("o").unwrap()));
    }

    #[test]
    fn rooms_and_members_name_what_is_wrong_with_them() {
        let room = |text: &str| message(RoomBody::read(text, &BOUNDS).unwrap_err());
        let long = format!(r#"{{"title":"{}"}}"#, "t".repeat(257));
        assert_eq!(room(&long), "`title` has 257 bytes, at most 256 are allowed");
        let large = format!(r#"{{"data":"{}"}}"#, "d".repeat(1023));
        assert_eq!(room(&large), "`data` has 1025 bytes, at most 1024 are allowed");
        let history = r#"{"history_visibility":"some"}"#;
        assert_eq!(
            room(history),
            "`history_visibility` must be \"all\" or \"joined\", not \"some\""
        );
        let member = MemberBody::read(r#"{"role":"king"}"#, &BOUNDS).unwrap_err();
        assert_eq!(message(member), "`role` must be \"owner\" or \"member\", not \"king\"");
    }

    proptest! {
        #[test]
        fn any_body_is_answered(text in ".*") {
            let _message = MessageBody::read(&text, &BOUNDS);
            let _messages = SendBody::read(&text, &BOUNDS);
            let _events = EventBody::read_list(&text, &BOUNDS);
            let _room = RoomBody::read(&text, &BOUNDS);
            let _member = MemberBody::read(&text, &BOUNDS);
        }
    }
}
