//! The client protocol, version 1: JSON text frames, both ways. No I/O.

mod body;
mod close;
mod conversation_ref;
mod cursor;
mod dedup;
mod error;
mod fields;
mod frame;
mod head;
mod inbox_item;
mod member_news;
mod op;
mod readable;
mod ready_limits;
mod resume;

pub use body::{
    EVENTS_MAX, EventBody, MEMBERS_BYTES_MAX, MEMBERS_MAX, MESSAGES_BYTES_MAX, MESSAGES_MAX,
    MemberBody, MembersBody, MessageBody, RoomBody, SendBody, TITLE_BYTES_MAX,
};
pub use close::CloseReason;
pub use conversation_ref::ConversationRef;
pub use cursor::CursorSeal;
pub use dedup::DedupKey;
pub use error::{Code, ErrorReply, Retry, whole_millis};
pub use frame::{MessageText, RequestId, ServerFrame, ServerVersion, stored_json};
pub use head::RequestHead;
pub use inbox_item::InboxItem;
pub use member_news::{MemberChange, MemberNews};
pub use op::{
    HISTORY_LIMIT_DEFAULT, Hello, History, HistorySide, INBOX_LIMIT_MAX, InboxRequest, MarkRequest,
    Op, PublishRequest, Request, Send, SignalRequest,
};
pub use ready_limits::{
    ConnectionRateLimits, FrameBounds, PageBounds, ReadyLimits, SessionLimits, UserRateLimits,
};
pub use resume::{MessageGap, ResumeReason, ResumeReport};

/// The subprotocol that a client may offer.
pub const SUBPROTOCOL: &str = "narrowcast.v1";

/// The bounds of decoded frames.
#[derive(Debug, Clone, Copy)]
pub struct RequestBounds {
    /// Bytes of a message's body.
    pub body_bytes: usize,
    /// Bytes of an event's data.
    pub data_bytes: usize,
    /// Levels of nested objects and arrays, the frame itself included.
    pub json_depth: usize,
    /// Patterns in one frame, and held by one session.
    pub patterns: usize,
    /// Messages in one page of history.
    pub history_messages: usize,
}
