//! One conversation of an inbox, as clients see it.

use serde::Serialize;
use serde_json::value::RawValue;

/// One conversation of an inbox.
#[derive(Debug, Serialize)]
pub struct InboxItem<'a> {
    /// The conversation.
    pub conversation: String,
    /// `dm` or `room`.
    pub kind: &'static str,
    /// The other user of a direct one, by the raw id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<&'a str>,
    /// The room's title; a direct one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// The room's data; a direct one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// The newest message that the user is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<&'a RawValue>,
    /// The newest message that the user has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_upto: Option<String>,
}

impl InboxItem<'_> {
    /// Bytes of its text and the separator after it.
    pub fn bytes(&self) -> usize {
        let text = serde_json::to_string(self);
        text.expect("an item has string keys and finite numbers").len() + 1
    }
}
