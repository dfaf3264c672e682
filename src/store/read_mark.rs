//! How far a user has read.

use crate::domain::{Conversation, MessageId, UserId};

/// A user in a conversation of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// The user.
    pub user: UserId,
    /// The conversation.
    pub conversation: Conversation,
}

/// The newest message that a user has read in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    /// The user.
    pub user: UserId,
    /// The conversation.
    pub conversation: Conversation,
    /// The message.
    pub upto: MessageId,
}
