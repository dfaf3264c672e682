//! What the `cursor` frame behind a resume says beside its cursor.

use serde::Serialize;

use crate::domain::{Conversation, MessageId};

/// Why a session did not resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ResumeReason {
    /// The client sent no cursor.
    #[error("no cursor was sent")]
    NoCursor,
    /// The cursor is older than any node resumes from.
    #[error("the cursor is too old")]
    Expired,
    /// The cursor is older than messages are kept.
    #[error("the cursor is older than messages are kept")]
    Retention,
    /// The cursor belongs to another user.
    #[error("the cursor is another user's")]
    OtherUser,
    /// The cursor belongs to another store, or was altered in several parts.
    #[error("the cursor is another store's")]
    OtherStore,
    /// It is no cursor, was altered in one part, or lies in the future.
    #[error("it is no cursor of a version that this node knows, was altered, or lies ahead")]
    Unreadable,
    /// More conversations have changed than one frame can name.
    #[error("too many conversations have changed")]
    TooMuch,
}

impl ResumeReason {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCursor => "no_cursor",
            Self::Expired => "expired",
            Self::Retention => "retention",
            Self::OtherUser => "other_user",
            Self::OtherStore => "other_store",
            Self::Unreadable => "unreadable",
            Self::TooMuch => "too_much",
        }
    }
}

/// A conversation of which messages were not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageGap {
    /// The conversation.
    conversation: String,
    /// The session has everything up to here.
    after: String,
    /// The oldest message that was sent; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

/// Most bytes of a gap's text beside the name of its conversation: two ids, the names of the
/// fields and a separator.
const GAP_BYTES_MAX: usize = r#"{"conversation":"","after":"","before":""},"#.len() + 2 * 36;

impl MessageGap {
    /// The gap between two ids.
    pub fn new(conversation: &Conversation, after: MessageId, before: Option<MessageId>) -> Self {
        Self {
            conversation: conversation.to_string(),
            after: after.to_string(),
            before: before.map(|id| id.to_string()),
        }
    }

    /// An upper bound of the bytes of its text. Names of conversations need no escapes.
    pub const fn bytes_at_most(&self) -> usize {
        GAP_BYTES_MAX + self.conversation.len()
    }
}

/// What changed without a message while a device was away. It is not sent again: the device loads
/// it.
const RESUMED: &[&str] = &["inbox"];

/// What a device loads that may lack anything.
const NOT_RESUMED: &[&str] = &["inbox", "history"];

/// What a session got by a resume, and what its client has to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumeReport<'a> {
    resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ResumeReason>,
    gaps: &'a [MessageGap],
    reload: &'static [&'static str],
}

impl<'a> ResumeReport<'a> {
    /// Everything was sent but what lies in these gaps.
    pub const fn resumed(gaps: &'a [MessageGap]) -> Self {
        Self { resumed: true, reason: None, gaps, reload: RESUMED }
    }

    /// Any message may be missing.
    pub const fn not_resumed(reason: ResumeReason) -> Self {
        Self { resumed: false, reason: Some(reason), gaps: &[], reload: NOT_RESUMED }
    }

    /// Its name in metrics: why it did not resume, or whether all came.
    pub const fn outcome(&self) -> &'static str {
        match self.reason {
            Some(reason) => reason.name(),
            None if self.gaps.is_empty() => "resumed",
            None => "resumed_with_gaps",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, RoomId};

    #[test]
    fn a_gap_has_its_edges_and_a_bound() {
        let room = Conversation::Room(RoomId::parse("r").unwrap());
        let id = |time| MessageId::first_of(Micros(time));
        let [open, closed] =
            [None, Some(id(2000))].map(|before| MessageGap::new(&room, id(1000), before));
        assert_eq!(
            serde_json::to_string(&open).unwrap(),
            r#"{"conversation":"room.r","after":"00000000-0001-7000-8000-000000000000"}"#
        );
        let text = serde_json::to_string(&closed).unwrap() + ",";
        assert!(text.contains(r#","before":"00000000-0002-7000-8000-000000000000"}"#), "{text}");
        assert_eq!(text.len(), closed.bytes_at_most());
    }
}
