//! Frames of a load: what is read of those of a node, and the text of those of a client.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::mix::LoadKind;
use crate::domain::MessageId;

/// Messages of a page that fills a gap.
const GAP_PAGE: u32 = 200;

/// Conversations of a page of the inbox.
const INBOX_PAGE: u32 = 100;

/// A frame of a node, as far as a load reads it. What it does not read is not made a value of.
#[derive(Debug, Deserialize)]
pub(super) struct NodeFrame<'a> {
    #[serde(borrow)]
    pub(super) op: Cow<'a, str>,
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) ping_ms: Option<u64>,
    /// What follows is read of the frames that need it.
    #[serde(skip)]
    pub(super) text: &'a str,
}

/// A message.
#[derive(Debug, Deserialize)]
pub(super) struct LoadMessage<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    conversation: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) dedup: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// What a send carries: its run and its number. It carries its sender and padding besides.
#[derive(Debug, Deserialize)]
struct LoadBody<'a> {
    #[serde(borrow)]
    run: Cow<'a, str>,
    n: u64,
}

/// An error.
#[derive(Debug, Deserialize)]
pub(super) struct LoadRefusal {
    pub(super) code: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) retry: String,
    pub(super) retry_after_ms: Option<u64>,
}

/// A cursor, and what a resume did not bring.
#[derive(Debug, Deserialize)]
pub(super) struct LoadCursor {
    pub(super) cursor: String,
    pub(super) resumed: Option<bool>,
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) gaps: Vec<LoadGap>,
}

/// Messages of a conversation that were not sent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LoadGap {
    pub(super) conversation: String,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
}

/// A page of history.
#[derive(Debug, Deserialize)]
pub(super) struct LoadPage<'a> {
    #[serde(borrow, default)]
    pub(super) messages: Vec<LoadMessage<'a>>,
    pub(super) next: Option<String>,
}

/// A page of the inbox.
#[derive(Debug, Deserialize)]
pub(super) struct LoadInbox {
    #[serde(default)]
    pub(super) conversations: Vec<LoadInboxEntry>,
    pub(super) next: Option<String>,
}

/// A conversation of it.
#[derive(Debug, Deserialize)]
pub(super) struct LoadInboxEntry {
    pub(super) conversation: String,
}

impl<'a> NodeFrame<'a> {
    /// Reads a frame; none if it is none of the protocol.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(|frame| Self { text, ..frame })
    }

    /// Its other fields.
    pub(super) fn fields<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.text).ok()
    }

    /// The message in it.
    pub(super) fn message(&self) -> Option<LoadMessage<'a>> {
        serde_json::from_str(self.message?.get()).ok()
    }
}

impl LoadMessage<'_> {
    pub(super) fn id(&self) -> Option<MessageId> {
        self.id.parse().ok()
    }

    /// Which kind of send it is of.
    pub(super) fn kind(&self) -> LoadKind {
        if self.conversation.starts_with("room.") { LoadKind::Room } else { LoadKind::Dm }
    }

    /// The number of its send, if it is of this run.
    pub(super) fn number(&self, run: &str) -> Option<u64> {
        number(self.body?, run)
    }
}

/// The number of a send of this run, by its body or its data.
pub(super) fn number(body: &RawValue, run: &str) -> Option<u64> {
    let body: LoadBody<'_> = serde_json::from_str(body.get()).ok()?;
    (body.run == run).then_some(body.n)
}

/// What a send carries, as JSON.
pub(super) fn body(run: &str, number: u64, from: u32, pad: &str) -> String {
    if pad.is_empty() {
        return format!(r#"{{"run":"{run}","n":{number},"from":{from}}}"#);
    }
    format!(r#"{{"run":"{run}","n":{number},"from":{from},"pad":"{pad}"}}"#)
}

/// A message under a nonce. A first try says so, which saves the node the look-up of the nonce.
pub(super) fn send(number: u64, conversation: &str, run: &str, body: &str, fresh: bool) -> String {
    let fresh = if fresh { r#","fresh":true"# } else { "" };
    format!(
        r#"{{"op":"send","id":{number},"conversation":"{conversation}","nonce":"{run}-{number}","body":{body}{fresh}}}"#
    )
}

/// An event.
pub(super) fn publish(number: u64, subject: &str, data: &str) -> String {
    format!(r#"{{"op":"publish","id":{number},"subject":"{subject}","data":{data}}}"#)
}

/// A page of history that fills a gap: the first one, or a further one.
pub(super) fn gap_page(id: u64, gap: &LoadGap, page: Option<&str>) -> String {
    let LoadGap { conversation, after, .. } = gap;
    let mut frame =
        json!({"op": "history", "id": id, "conversation": conversation, "limit": GAP_PAGE});
    match (page, after) {
        (Some(page), _) => frame["page"] = json!(page),
        (None, Some(after)) => frame["after"] = json!(after),
        (None, None) => {}
    }
    frame.to_string()
}

/// A page of the inbox: the first one, or a further one.
pub(super) fn inbox_page(id: u64, page: Option<&str>) -> String {
    let mut frame = json!({"op": "inbox", "id": id, "limit": INBOX_PAGE});
    if let Some(page) = page {
        frame["page"] = json!(page);
    }
    frame.to_string()
}

/// A page of history.
pub(super) fn history(number: u64, conversation: &str, limit: u32) -> String {
    json!({"op": "history", "id": number, "conversation": conversation, "limit": limit}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_in_what_comes() {
        let body = body("r", 7, 3, "xx");
        let sent = send(7, "user.bob", "r", &body, true);
        let value: serde_json::Value = serde_json::from_str(&sent).unwrap();
        assert_eq!((&value["nonce"], &value["fresh"]), (&json!("r-7"), &json!(true)));
        let frame = json!({"op": "message", "message": {
            "id": "019a0000-0000-7000-8000-000000000001", "conversation": "room.a",
            "dedup": "d", "from": "a",
            "body": value["body"],
        }});
        let text = frame.to_string();
        let read = NodeFrame::read(&text).unwrap();
        let message = read.message().unwrap();
        assert_eq!((message.number("r"), message.number("s")), (Some(7), None));
        assert_eq!((message.id().is_some(), message.kind()), (true, LoadKind::Room));
        let event = publish(8, "topic.t.x", &body);
        let event = event.replace("publish", "event");
        let read = NodeFrame::read(&event).unwrap();
        assert_eq!(number(read.data.unwrap(), "r"), Some(7));
    }

    #[test]
    fn bodies_of_others_are_nothing() {
        for body in ["1", "null", "[]", r#"{"run":1}"#, r#"{"run":"r"}"#] {
            let raw: &RawValue = serde_json::from_str(body).unwrap();
            assert_eq!(number(raw, "r"), None, "{body}");
        }
        assert!(NodeFrame::read("{").is_none());
    }
}
