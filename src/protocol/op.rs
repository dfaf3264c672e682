//! Client frames: what each op carries.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::{Fields, missing};
use super::head::{OP_CHARS_MAX, RequestHead};
use super::readable::unreadable;
use super::{Code, ConversationRef, ErrorReply, RequestBounds, RequestId};
use crate::domain::{MessageId, NONCE_BYTES_MAX, Pattern};

/// The longest name of a device, in bytes.
const DEVICE_BYTES_MAX: usize = 64;

/// The longest name of a client program, in bytes.
const CLIENT_BYTES_MAX: usize = 64;

/// The longest name of a signal, in bytes.
const SIGNAL_NAME_BYTES_MAX: usize = 64;

/// Most conversations in a page of the inbox: a page costs up to three reads for each.
pub const INBOX_LIMIT_MAX: usize = 100;

/// Conversations in a page of the inbox if the client names no limit.
const INBOX_LIMIT_DEFAULT: u64 = 50;

/// Messages in a page if the client names no limit.
pub const HISTORY_LIMIT_DEFAULT: u64 = 50;

/// One client frame.
#[derive(Debug)]
pub struct Request<'a> {
    /// Returned in the reply; without it there is no success reply.
    pub id: Option<RequestId>,
    /// The op, or why it is refused.
    pub op: Result<Op<'a>, ErrorReply>,
}

/// The ops of a client.
#[derive(Debug)]
pub enum Op<'a> {
    /// Begins a session.
    Hello(Hello<'a>),
    /// Brings a fresh token.
    Renew(Cow<'a, str>),
    /// Sends a message.
    Send(Send<'a>),
    /// Reads a page of a conversation.
    History(History<'a>),
    /// Lists conversations.
    Inbox(InboxRequest<'a>),
    /// Moves the mark up to which a conversation is read.
    MarkRead(MarkRequest<'a>),
    /// Publishes an event about a subject.
    Publish(PublishRequest<'a>),
    /// Sends a signal to the members of a conversation.
    Signal(SignalRequest<'a>),
    /// Adds patterns.
    Subscribe(Vec<Pattern>),
    /// Removes patterns.
    Unsubscribe(Vec<Pattern>),
    /// Asks for an answer, to see that the node is alive.
    Ping,
}

/// The first frame of a session.
#[derive(Debug)]
pub struct Hello<'a> {
    /// The token, unless the upgrade carried one.
    pub token: Option<Cow<'a, str>>,
    /// A name for the device, for humans.
    pub device: Option<Cow<'a, str>>,
    /// The client program and its version, such as `web/2.3`.
    pub client: Option<Cow<'a, str>>,
    /// The cursor at which an earlier session of the device ended.
    pub cursor: Option<Cow<'a, str>>,
    /// Patterns to begin with.
    pub subscribe: Vec<Pattern>,
    /// Fields that this version does not know. They are ignored, so that a newer client can talk to
    /// an older node.
    pub ignored: Vec<String>,
}

/// A message to be sent.
#[derive(Debug)]
pub struct Send<'a> {
    /// The conversation that it goes to.
    pub conversation: ConversationRef<'a>,
    /// Any JSON value.
    pub body: &'a RawValue,
    /// The sender's idempotency key.
    pub nonce: Option<Cow<'a, str>>,
    /// Whether the client knows that this is its first try: its nonce is not looked up.
    pub fresh: bool,
    /// The newest id that the client has seen.
    pub seen: Option<MessageId>,
}

/// Which side of an id a page lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistorySide {
    /// Below the id, or from the newest on; newest first.
    Before(Option<MessageId>),
    /// Above the id; oldest first.
    After(MessageId),
}

impl HistorySide {
    /// The side that a request asks for: where an earlier page ended, or a message to jump to.
    pub fn of(
        page: Option<&str>,
        before: Option<MessageId>,
        after: Option<MessageId>,
    ) -> Result<Self, ErrorReply> {
        match (page, before, after) {
            (Some(page), None, None) => Self::of_page(page).ok_or_else(|| {
                ErrorReply::bad_request("`page` must be the `next` of an earlier page")
            }),
            (None, before, None) => Ok(Self::Before(before)),
            (None, None, Some(after)) => Ok(Self::After(after)),
            _ => {
                let message = "`page`, `before` and `after` exclude each other";
                Err(ErrorReply::bad_request(message))
            }
        }
    }

    /// The token of the page that begins beyond a message, on the same side.
    pub fn page(self, next: MessageId) -> String {
        match self {
            Self::Before(_) => format!("{PAGE_BEFORE}{next}"),
            Self::After(_) => format!("{PAGE_AFTER}{next}"),
        }
    }

    fn of_page(page: &str) -> Option<Self> {
        let id = |text: &str| text.parse::<MessageId>().ok();
        match page.strip_prefix(PAGE_BEFORE) {
            Some(before) => Some(Self::Before(Some(id(before)?))),
            None => Some(Self::After(id(page.strip_prefix(PAGE_AFTER)?)?)),
        }
    }
}

/// What the token of a page begins with, by its side.
const PAGE_BEFORE: char = 'b';
const PAGE_AFTER: char = 'a';

/// A page to be read.
#[derive(Debug)]
pub struct History<'a> {
    /// The conversation.
    pub conversation: ConversationRef<'a>,
    /// The side of an id.
    pub side: HistorySide,
    /// Most messages of the page.
    pub limit: usize,
}

/// A page of the inbox to be read.
#[derive(Debug)]
pub struct InboxRequest<'a> {
    /// The `next` of an earlier page.
    pub page: Option<Cow<'a, str>>,
    /// Most conversations of the page.
    pub limit: usize,
}

/// A mark to be moved.
#[derive(Debug)]
pub struct MarkRequest<'a> {
    /// The conversation.
    pub conversation: ConversationRef<'a>,
    /// The new mark.
    pub upto: MessageId,
}

/// An event to be published, for the sessions that subscribe to its subject.
#[derive(Debug)]
pub struct PublishRequest<'a> {
    /// What it is about.
    pub subject: Cow<'a, str>,
    /// Any JSON value.
    pub data: &'a RawValue,
}

/// A signal for the members of a conversation.
#[derive(Debug)]
pub struct SignalRequest<'a> {
    /// The conversation.
    pub conversation: ConversationRef<'a>,
    /// Its name, `typing` for example.
    pub name: Cow<'a, str>,
    /// Any JSON value.
    pub data: &'a RawValue,
}

impl<'a> Request<'a> {
    /// Reads a frame. A refusal carries its id and its op wherever they can be read.
    pub fn read(text: &'a str, bounds: &RequestBounds) -> Self {
        let read = Fields::read(text, bounds.json_depth)
            .and_then(|mut fields| Ok((read_id(&mut fields)?, fields)));
        match read {
            Ok((id, fields)) => Self { id, op: Op::read(fields, bounds) },
            Err(refusal) => {
                let head = RequestHead::scan(text);
                Self { op: Err(head.refusal(refusal)), id: head.id }
            }
        }
    }
}

fn read_id(fields: &mut Fields<'_>) -> Result<Option<RequestId>, ErrorReply> {
    fields.typed("id", "an integer or a string of at most 64 bytes", RequestId::read)
}

impl<'a> Op<'a> {
    /// How many items of lists it names, each of which is work.
    pub const fn items(&self) -> usize {
        match self {
            Self::Hello(hello) => hello.subscribe.len(),
            Self::Subscribe(patterns) | Self::Unsubscribe(patterns) => patterns.len(),
            _ => 0,
        }
    }

    fn read(mut fields: Fields<'a>, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let name = fields.string("op")?.ok_or_else(|| missing("op"))?;
        let mut parse = || {
            Ok(match &*name {
                "hello" => Self::Hello(Hello::read(&mut fields, bounds)?),
                "send" => Self::Send(Send::read(&mut fields, bounds)?),
                "history" => Self::History(History::read(&mut fields, bounds)?),
                "inbox" => Self::Inbox(InboxRequest::read(&mut fields)?),
                "renew" => Self::Renew(required(&mut fields, "token")?),
                "mark_read" => Self::MarkRead(MarkRequest::read(&mut fields)?),
                "publish" => Self::Publish(PublishRequest::read(&mut fields, bounds)?),
                "signal" => Self::Signal(SignalRequest::read(&mut fields, bounds)?),
                "subscribe" => Self::Subscribe(required_patterns(&mut fields, bounds)?),
                "unsubscribe" => Self::Unsubscribe(required_patterns(&mut fields, bounds)?),
                "ping" => Self::Ping,
                _ => return Err(ErrorReply::new(Code::UnknownOp, "no such op")),
            })
        };
        let op = parse().map_err(|refusal| {
            refusal.of_op(name.chars().take(OP_CHARS_MAX).collect::<String>())
        })?;
        fields.finish().map_err(|refusal| refusal.of_op(name.into_owned()))?;
        Ok(op)
    }
}

impl<'a> Hello<'a> {
    fn read(fields: &mut Fields<'a>, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        Ok(Self {
            token: fields.string("token")?,
            device: bounded(fields, "device", DEVICE_BYTES_MAX)?,
            client: bounded(fields, "client", CLIENT_BYTES_MAX)?,
            cursor: fields.string("cursor")?,
            subscribe: patterns(fields, "subscribe", bounds)?.unwrap_or_default(),
            ignored: fields.rest(),
        })
    }
}

impl<'a> Send<'a> {
    fn read(fields: &mut Fields<'a>, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        Ok(Self {
            conversation: ConversationRef::read(fields)?,
            body: json(fields, "body", bounds.body_bytes)?,
            nonce: bounded(fields, "nonce", NONCE_BYTES_MAX)?,
            fresh: fields.boolean("fresh")?.unwrap_or_default(),
            seen: message_id(fields, "seen")?,
        })
    }
}

impl<'a> History<'a> {
    fn read(fields: &mut Fields<'a>, bounds: &RequestBounds) -> Result<Self, ErrorReply> {
        let conversation = ConversationRef::read(fields)?;
        let page = fields.string("page")?;
        let (before, after) = (message_id(fields, "before")?, message_id(fields, "after")?);
        let side = HistorySide::of(page.as_deref(), before, after)?;
        let limit = limit(fields, HISTORY_LIMIT_DEFAULT, bounds.history_messages)?;
        Ok(Self { conversation, side, limit })
    }
}

impl<'a> InboxRequest<'a> {
    fn read(fields: &mut Fields<'a>) -> Result<Self, ErrorReply> {
        let page = fields.string("page")?;
        Ok(Self { page, limit: limit(fields, INBOX_LIMIT_DEFAULT, INBOX_LIMIT_MAX)? })
    }
}

impl<'a> MarkRequest<'a> {
    fn read(fields: &mut Fields<'a>) -> Result<Self, ErrorReply> {
        Ok(Self {
            conversation: ConversationRef::read(fields)?,
            upto: message_id(fields, "upto")?.ok_or_else(|| missing("upto"))?,
        })
    }
}

impl<'a> PublishRequest<'a> {
    pub(super) fn read(
        fields: &mut Fields<'a>,
        bounds: &RequestBounds,
    ) -> Result<Self, ErrorReply> {
        let subject = required(fields, "subject")?;
        Ok(Self { subject, data: json(fields, "data", bounds.data_bytes)? })
    }
}

impl<'a> SignalRequest<'a> {
    pub(super) fn read(
        fields: &mut Fields<'a>,
        bounds: &RequestBounds,
    ) -> Result<Self, ErrorReply> {
        Ok(Self {
            conversation: ConversationRef::read(fields)?,
            name: bounded(fields, "name", SIGNAL_NAME_BYTES_MAX)?.ok_or_else(|| missing("name"))?,
            data: json(fields, "data", bounds.data_bytes)?,
        })
    }
}

/// Entries of a page: from 1 to `max`.
fn limit(fields: &mut Fields<'_>, default: u64, max: usize) -> Result<usize, ErrorReply> {
    let max = max as u64;
    let limit = fields.number("limit")?.unwrap_or(default.min(max));
    if (1..=max).contains(&limit) {
        return Ok(limit as usize);
    }
    Err(ErrorReply::bad_request(format!("`limit` must be from 1 to {max}, not {limit}")))
}

pub(super) fn required<'a>(
    fields: &mut Fields<'a>,
    name: &str,
) -> Result<Cow<'a, str>, ErrorReply> {
    fields.string(name)?.ok_or_else(|| missing(name))
}

/// An optional string of 1 to `max` bytes.
pub(super) fn bounded<'a>(
    fields: &mut Fields<'a>,
    name: &str,
    max: usize,
) -> Result<Option<Cow<'a, str>>, ErrorReply> {
    let Some(text) = fields.string(name)? else { return Ok(None) };
    if (1..=max).contains(&text.len()) {
        return Ok(Some(text));
    }
    Err(ErrorReply::bad_request(format!(
        "`{name}` must be of 1 to {max} bytes, not {}",
        text.len()
    )))
}

/// A required JSON value of at most `max` bytes as text.
pub(super) fn json<'a>(
    fields: &mut Fields<'a>,
    name: &str,
    max: usize,
) -> Result<&'a RawValue, ErrorReply> {
    let raw = fields.raw(name).ok_or_else(|| missing(name))?;
    let bytes = raw.get().len();
    if bytes > max {
        let message = format!("`{name}` has {bytes} bytes, at most {max} are allowed");
        return Err(ErrorReply::new(Code::TooLarge, message));
    }
    if let Some(why) = unreadable(raw.get()) {
        let message = format!("`{name}` is not JSON that every reader accepts: {why}");
        return Err(ErrorReply::bad_request(message));
    }
    Ok(raw)
}

pub(super) fn message_id(
    fields: &mut Fields<'_>,
    name: &str,
) -> Result<Option<MessageId>, ErrorReply> {
    let Some(text) = fields.string(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error| ErrorReply::bad_request(format!("`{name}` {error}")))
}

fn required_patterns(
    fields: &mut Fields<'_>,
    bounds: &RequestBounds,
) -> Result<Vec<Pattern>, ErrorReply> {
    let patterns = patterns(fields, "patterns", bounds)?.ok_or_else(|| missing("patterns"))?;
    if patterns.is_empty() {
        return Err(ErrorReply::bad_request("`patterns` must name at least one pattern"));
    }
    Ok(patterns)
}

fn patterns(
    fields: &mut Fields<'_>,
    name: &str,
    bounds: &RequestBounds,
) -> Result<Option<Vec<Pattern>>, ErrorReply> {
    let Some(texts) = fields.strings(name)? else { return Ok(None) };
    if texts.len() > bounds.patterns {
        let (found, max) = (texts.len(), bounds.patterns);
        let message = format!("`{name}` has {found} patterns, at most {max} are allowed");
        return Err(ErrorReply::bad_request(message));
    }
    let read = |text: &Cow<'_, str>| {
        Pattern::read(text).map_err(|error| {
            let shown: String = text.chars().take(64).collect();
            ErrorReply::bad_request(format!("`{name}`: `{shown}`: {error}"))
        })
    };
    texts.iter().map(read).collect::<Result<Vec<_>, _>>().map(Some)
}

#[cfg(test)]
mod tests;
