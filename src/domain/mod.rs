//! The vocabulary of Narrowcast: ids, subjects, patterns, conversations, messages and time.
//!
//! Everything here is pure: no I/O, no clock is read, nothing waits.

mod canonical_json;
mod clock;
mod conversation;
mod holders;
mod membership;
mod membership_notice;
mod message;
mod monotonic;
mod pattern;
mod pattern_index;
mod send_content;
mod spelling;
mod subject;
mod token;

pub use canonical_json::canonical;
pub use clock::{HybridClock, Micros, Observed};
pub use conversation::{Conversation, ConversationError};
pub use membership::{
    Adder, HistoryVisibility, MemberRole, MemberState, Membership, NEVER, NotAMembership,
    ROOM_DATA_BYTES_MAX, Room,
};
pub use membership_notice::MembershipNotice;
pub use message::{Message, MessageId, NONCE_BYTES_MAX};
pub use monotonic::{ClockReading, MonotonicTime};
pub use pattern::{Pattern, PatternScope};
pub use pattern_index::PatternIndex;
pub use send_content::SendContent;
pub use spelling::{BadEscape, percent_decode};
pub use subject::{Class, RoutingKey, SUBJECT_BYTES_MAX, Subject};
pub use token::{GrammarError, ID_BYTES_MAX, RoomId, TOKEN_BYTES_MAX, UserId};
