//! Server frames.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::dedup::{DEDUP_BYTES, DedupKey};
use super::error::{Code, Retry};
use super::inbox_item::InboxItem;
use super::member_news::{MemberChange, MemberNews};
use super::ready_limits::ReadyLimits;
use super::resume::ResumeReport;
use crate::domain::{Conversation, Message, Pattern};

/// The longest id of a client frame, in bytes of its text.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// A client frame's id, as the JSON text that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Box<str>);

impl RequestId {
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        Self::read_text(raw.get())
    }

    /// Reads an integer or a string of at most 64 bytes from its JSON text.
    pub fn read_text(text: &str) -> Option<Self> {
        let fits = if text.starts_with('"') {
            let id: String = serde_json::from_str(text).ok()?;
            id.len() <= REQUEST_ID_BYTES_MAX
        } else {
            text.parse::<i64>().is_ok()
        };
        fits.then(|| Self(text.into()))
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(&self.0).serialize(serializer)
    }
}

/// JSON text that was checked when it came in.
fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).expect("checked JSON text stays valid")
}

/// JSON text from the store; none if it is not JSON, which no write path accepts.
pub fn stored_json(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// A message as a JSON object: made once, shared by every frame that carries it.
#[derive(Debug, Clone)]
pub struct MessageText(Box<str>);

/// Bytes of a message's object without names and body. It is the rest of the object, an id, the
/// `dedup`, the longest time, and the comma after it.
const OBJECT_BYTES_MAX: usize =
    r#"{"id":"","conversation":"room..","from":"","dedup":"","body":,"sent_at":},"#.len()
        + 36
        + DEDUP_BYTES
        + 20;

/// The kind of a message that no user sent.
const SYSTEM: &str = "system";

#[derive(Serialize)]
struct MessageObject<'a> {
    id: String,
    conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup: Option<String>,
    body: &'a RawValue,
    sent_at: u64,
}

impl MessageText {
    /// Makes the object of a message, without its nonce. A body that is not JSON, which no write
    /// path accepts, becomes null.
    pub fn new(message: &Message, key: &DedupKey) -> Self {
        let body = serde_json::from_slice(&message.body).unwrap_or(RawValue::NULL);
        let is_system = message.from.is_of_room();
        let object = MessageObject {
            id: message.id.to_string(),
            conversation: message.conversation.to_string(),
            kind: is_system.then_some(SYSTEM),
            from: (!is_system).then_some(message.from.as_str()),
            dedup: key.dedup(message),
            body,
            sent_at: message.id.time().millis(),
        };
        Self(to_text(&object).into())
    }

    /// An upper bound of the bytes of a message's object and the separator after it, known without
    /// making the object. Ids need no escapes.
    pub fn bytes_at_most(message: &Message) -> usize {
        let name = match &message.conversation {
            Conversation::Dm(a, b) => a.as_str().len() + b.as_str().len(),
            Conversation::Room(room) => room.as_str().len(),
        };
        OBJECT_BYTES_MAX + name + message.from.as_str().len() + message.body.len()
    }

    /// The finished `message` frame.
    pub fn frame(&self) -> Bytes {
        format!(r#"{{"op":"message","message":{}}}"#, self.0).into()
    }

    /// The finished `sent` frame, with the nonce that the session gave.
    pub fn sent(&self, id: &RequestId, nonce: Option<&str>) -> Bytes {
        let nonce =
            nonce.map_or_else(String::new, |nonce| format!(r#""nonce":{},"#, to_text(&nonce)));
        format!(r#"{{"op":"sent","id":{},{nonce}"message":{}}}"#, id.0, self.0).into()
    }

    /// The object as JSON.
    pub fn as_raw(&self) -> &RawValue {
        raw(&self.0)
    }
}

fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("frames have string keys and finite numbers")
}

/// What a node says of itself in `ready`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ServerVersion {
    /// The version of this protocol. A frame or field that breaks a client of it makes a new one.
    protocol: u32,
    /// The program and its version.
    server: &'static str,
    /// What this node can do beside the base of the protocol, by name.
    features: &'static [&'static str],
}

impl ServerVersion {
    /// This program.
    pub const CURRENT: Self = Self {
        protocol: 1,
        server: concat!("narrowcast/", env!("CARGO_PKG_VERSION")),
        features: &[],
    };
}

/// A frame to the client.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// The session has begun.
    Ready {
        /// What speaks to the client.
        #[serde(flatten)]
        server: ServerVersion,
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// The session's name.
        session: &'a str,
        /// The encoded user id.
        user: &'a str,
        /// What the client called its device.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<&'a str>,
        /// The node.
        node: &'a str,
        /// Milliseconds between the server's pings.
        ping_ms: u64,
        /// The limits.
        limits: &'a ReadyLimits,
        /// Patterns of `hello` that were refused.
        refused: &'a [String],
        /// Fields of `hello` that this version does not know; absent if there are none.
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        ignored: &'a [String],
        /// The node's time in milliseconds.
        now: u64,
    },
    /// The answer to a `renew`.
    Renewed {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// When the new token ends, in milliseconds.
        expires_at: u64,
        /// Patterns that ended, since the new token does not grant them.
        refused: &'a [String],
    },
    /// Everything before this was sent, but what the report names.
    Cursor {
        /// What the client resumes from.
        cursor: &'a str,
        /// What a resume brought; none for a session that goes on.
        #[serde(flatten)]
        report: Option<&'a ResumeReport<'a>>,
    },
    /// The request succeeded.
    Ok {
        /// The request's id.
        id: &'a RequestId,
    },
    /// The answer to a `ping`.
    Pong {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// The node's time in milliseconds.
        now: u64,
    },
    /// A page of history.
    History {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// The conversation.
        conversation: &'a str,
        /// The messages.
        messages: &'a [&'a RawValue],
        /// The `page` of the request for the next page; absent at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// A page of the inbox.
    Inbox {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// The conversations, the recently active first.
        conversations: &'a [InboxItem<'a>],
        /// The `page` of the request for the next page; absent at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
    },
    /// Another device of the user has read a conversation.
    Read {
        /// The conversation.
        conversation: &'a str,
        /// The newest message that was read.
        upto: String,
        /// The user who read it.
        user: &'a str,
        /// When, in milliseconds.
        at: u64,
    },
    /// An event about a subject.
    Event {
        /// The subject.
        subject: &'a str,
        /// Any JSON value.
        data: &'a RawValue,
        /// When it was published, in milliseconds.
        at: u64,
    },
    /// A signal to the members of a conversation.
    Signal {
        /// The conversation.
        conversation: &'a str,
        /// Its name.
        name: &'a str,
        /// Who sent it.
        from: &'a str,
        /// Any JSON value.
        data: &'a RawValue,
        /// When it was sent, in milliseconds.
        at: u64,
    },
    /// A user joined a room: this user or another one.
    Joined(MemberNews<'a>),
    /// A user left a room: this user or another one.
    Left(MemberNews<'a>),
    /// A member has another role: this user or another one.
    Member(MemberNews<'a>),
    /// A room's title or data was changed: both as they are now.
    RoomChanged {
        /// The room's conversation.
        conversation: &'a str,
        /// Its title; absent if it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        /// Its data; absent if it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a RawValue>,
        /// The user who changed it; absent if a service did.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
        /// When, in milliseconds.
        at: u64,
    },
    /// The token ends soon.
    TokenExpiring {
        /// When, in milliseconds.
        expires_at: u64,
    },
    /// A refusal.
    Error {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        /// The op that is refused.
        #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
        about: Option<&'a str>,
        /// For programs.
        code: Code,
        /// For people.
        detail: &'a str,
        /// Whether to try again.
        retry: Retry,
        /// In how many milliseconds the same request would be taken, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl<'a> ServerFrame<'a> {
    /// The frame of a change of a membership.
    pub const fn of_member(news: MemberNews<'a>, change: MemberChange) -> Self {
        match change {
            MemberChange::Joined => Self::Joined(news),
            MemberChange::Left => Self::Left(news),
            MemberChange::Role => Self::Member(news),
        }
    }
}

impl ServerFrame<'_> {
    /// The frame's text.
    pub fn text(&self) -> Bytes {
        to_text(self).into()
    }

    /// Patterns in the form of `refused`.
    pub fn refused(patterns: &[Pattern]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{MessageId, Micros, RoomId, UserId};
    use crate::protocol::{ErrorReply, ResumeReason};

    fn message(nonce: Option<&str>) -> Message {
        let user = |id| UserId::parse(id).unwrap();
        Message {
            id: MessageId::new(Micros(1_795_492_901_650_123), 5),
            conversation: Conversation::between(&user("alice"), &user("bob")),
            from: user("alice"),
            nonce: nonce.map(Into::into),
            body: Bytes::from_static(br#"{"text": "Hi!"}"#),
        }
    }

    #[test]
    fn golden_message_frames() {
        let key = DedupKey::of_store(&[7; 32]);
        let marked = message(Some("a\"1"));
        let dedup = key.dedup(&marked).unwrap();
        let text = MessageText::new(&marked, &key);
        let object = format!(
            r#"{{"id":"01a20bb7-7312-71f7-8000-000000000005","conversation":"dm.alice.bob","from":"alice","dedup":"{dedup}","body":{{"text": "Hi!"}},"sent_at":1795492901650}}"#
        );
        assert_eq!(text.as_raw().get(), object);
        assert_eq!(text.frame(), format!(r#"{{"op":"message","message":{object}}}"#));
        let id = RequestId::read_text("7").unwrap();
        let sent = format!(r#"{{"op":"sent","id":7,"nonce":"a\"1","message":{object}}}"#);
        assert_eq!(text.sent(&id, Some("a\"1")), sent, "who sent it is given the nonce back");
        let plain = MessageText::new(&message(None), &key);
        assert!(!plain.as_raw().get().contains("dedup"));
        assert!(plain.sent(&id, None).starts_with(br#"{"op":"sent","id":7,"message":{"#));
    }

    #[test]
    fn a_message_that_nobody_sent_has_a_kind_and_no_sender() {
        let room = RoomId::parse("r").unwrap();
        let from = UserId::of_room(&room);
        let said = Message { conversation: Conversation::Room(room), from, ..message(None) };
        let text = MessageText::new(&said, &DedupKey::of_store(&[7; 32]));
        let object = text.as_raw().get();
        assert!(object.contains(r#""conversation":"room.r","kind":"system","body""#), "{object}");
        assert!(object.len() < MessageText::bytes_at_most(&said));
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_message_are_bounded_without_making_it(
            [a, b] in ["[a-z@=|]{1,125}", "(%2F|[A-Z]){1,80}"],
            is_room: bool,
            nonce in prop::option::of("(.|[\\x00-\\x1f]){1,16}"),
            body in ".{0,100}",
            millis in 0..1_u64 << 48,
        ) {
            let user = |id: &str| UserId::parse(id).unwrap();
            let room = || Conversation::Room(RoomId::parse(&b).unwrap());
            let message = Message {
                id: MessageId::new(Micros(millis * 1000), 5),
                conversation: if is_room { room() } else { Conversation::between(&user(&a), &user(&b)) },
                from: user(&a),
                nonce: nonce.as_deref().map(Into::into),
                body: serde_json::to_string(&body).unwrap().into(),
            };
            let key = DedupKey::of_store(&[7; 32]);
            let bytes = MessageText::new(&message, &key).as_raw().get().len() + ",".len();
            let bound = MessageText::bytes_at_most(&message);
            prop_assert!(bytes <= bound, "{bytes} of {bound}");
            prop_assert!(bound <= bytes + 50, "{bytes} of {bound}");
        }
    }

    #[test]
    fn golden_frames() {
        let id = RequestId::read_text(r#""x""#).unwrap();
        let data = raw(r#"{"online":true}"#);
        let unknown = ErrorReply::new(Code::OutcomeUnknown, "m");
        let limited = ErrorReply::rate_limited("m", Duration::from_micros(1001)).of_op("send");
        let table = [
            (ServerFrame::Ok { id: &id }, r#"{"op":"ok","id":"x"}"#),
            (
                ServerFrame::Read { conversation: "dm.a.b", upto: "x".into(), user: "a", at: 5 },
                r#"{"op":"read","conversation":"dm.a.b","upto":"x","user":"a","at":5}"#,
            ),
            (
                ServerFrame::Inbox {
                    id: Some(&id),
                    conversations: &[InboxItem {
                        conversation: "room.r".into(),
                        kind: "room",
                        peer: None,
                        title: Some("R"),
                        data: None,
                        last: None,
                        read_upto: None,
                    }],
                    next: None,
                },
                r#"{"op":"inbox","id":"x","conversations":[{"conversation":"room.r","kind":"room","title":"R"}]}"#,
            ),
            (ServerFrame::Pong { id: None, now: 5 }, r#"{"op":"pong","now":5}"#),
            (ServerFrame::Cursor { cursor: "x", report: None }, r#"{"op":"cursor","cursor":"x"}"#),
            (
                ServerFrame::Cursor {
                    cursor: "x",
                    report: Some(&ResumeReport::not_resumed(ResumeReason::TooMuch)),
                },
                r#"{"op":"cursor","cursor":"x","resumed":false,"reason":"too_much","gaps":[],"reload":["inbox","history"]}"#,
            ),
            (
                ServerFrame::Cursor { cursor: "x", report: Some(&ResumeReport::resumed(&[])) },
                r#"{"op":"cursor","cursor":"x","resumed":true,"gaps":[],"reload":["inbox"]}"#,
            ),
            (
                ServerFrame::Event { subject: "presence.bob", data, at: 5 },
                r#"{"op":"event","subject":"presence.bob","data":{"online":true},"at":5}"#,
            ),
            (
                unknown.frame(None),
                r#"{"op":"error","code":"outcome_unknown","detail":"m","retry":"same_nonce"}"#,
            ),
            (
                limited.frame(Some(&id)),
                r#"{"op":"error","id":"x","for":"send","code":"rate_limited","detail":"m","retry":"later","retry_after_ms":2}"#,
            ),
        ];
        for (frame, text) in table {
            assert_eq!(frame.text(), text);
        }
    }

    #[test]
    fn ids_are_integers_or_short_strings() {
        assert!(RequestId::read_text("-3").is_some());
        assert!(RequestId::read_text(&format!("\"{}\"", "a".repeat(64))).is_some());
        for bad in ["1.5", "true", "[]", "1e3", &format!("\"{}\"", "a".repeat(65))] {
            assert!(RequestId::read_text(bad).is_none(), "{bad}");
        }
    }
}
