//! What makes the retry of a send harmless.

use std::time::Duration;

use crate::domain::{MessageId, UserId};

/// How long a key is remembered: from the time of its message's id, by the wall clock.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_hours(24);

/// What a sender chose to tell sends apart; `nonce` in frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The user.
    pub sender: UserId,
    /// The text, at most [`NONCE_BYTES_MAX`](crate::domain::NONCE_BYTES_MAX). It is unique among
    /// the sends of one user.
    pub nonce: Box<str>,
}

/// What was sent under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The message.
    pub id: MessageId,
    /// A hash of its conversation and body: a key is never used again for other content.
    pub content: u128,
}

/// A key, and what was sent under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The key.
    pub key: IdempotencyKey,
    /// What was sent.
    pub record: IdempotencyRecord,
}
