//! Server frames, as far as a device acts on them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::events::{Cursor, GapSeen, Nonce, ResumeSeen};
use crate::domain::MessageId;

/// A server frame.
#[derive(Debug)]
pub(super) enum ServerText {
    /// One that the device acts on.
    Known(KnownFrame),
    /// One that is for the application alone.
    Other(Value),
}

/// A frame that the device acts on.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum KnownFrame {
    Ready { node: String, ping_ms: u64, limits: KnownLimits },
    Cursor(CursorText),
    Message { message: Shown },
    Sent { nonce: Option<Nonce>, message: Shown },
    Error { id: Option<Value>, code: String, detail: String },
    Pong {},
}

const KNOWN: [&str; 6] = ["ready", "cursor", "message", "sent", "error", "pong"];

/// A cursor, and what the resume before it brought.
#[derive(Debug, Deserialize)]
pub(super) struct CursorText {
    pub(super) cursor: Cursor,
    resumed: Option<bool>,
    reason: Option<String>,
    #[serde(default)]
    gaps: Vec<GapSeen>,
    #[serde(default)]
    reload: Vec<String>,
}

impl CursorText {
    /// What the resume brought, if there was one.
    pub(super) fn resume(self) -> Option<ResumeSeen> {
        let Self { resumed, reason, gaps, reload, .. } = self;
        Some(ResumeSeen { resumed: resumed?, reason, gaps, reload })
    }
}

/// The node's limits in `ready`.
#[derive(Debug, Deserialize)]
pub(super) struct KnownLimits {
    pub(super) sends_in_flight: usize,
}

/// A message.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    #[serde(deserialize_with = "message_id")]
    pub(super) id: MessageId,
    pub(super) conversation: String,
    /// Empty for a message that no user sent.
    #[serde(default)]
    pub(super) from: String,
    pub(super) dedup: Option<Box<str>>,
    pub(super) body: Value,
}

fn message_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl ServerText {
    /// Reads a frame; the error states what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let op = value["op"].as_str().ok_or("`op` is missing")?;
        if !KNOWN.contains(&op) {
            return Ok(Self::Other(value));
        }
        let op = op.to_owned();
        serde_json::from_value(value).map(Self::Known).map_err(|error| format!("{op}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_for_the_application() {
        let text = r#"{"op":"read","conversation":"dm.a.b","upto":"x"}"#;
        assert!(
            matches!(ServerText::read(text), Ok(ServerText::Other(value)) if value["upto"] == "x")
        );
    }

    #[test]
    fn what_is_no_frame_is_named() {
        let error = |text: &str| ServerText::read(text).unwrap_err();
        assert!(error("[]").contains("`op` is missing"));
        assert!(error("{").contains("EOF"));
        assert!(error(r#"{"op":"cursor","gaps":[]}"#).starts_with("cursor: missing"));
        let message =
            r#"{"op":"message","message":{"id":"7","conversation":"c","from":"f","body":1}}"#;
        assert!(error(message).starts_with("message: must be a message id"));
    }
}
