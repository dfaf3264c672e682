//! The port to receipts.

use std::fmt;

use super::{
    IdempotencyEntry, IdempotencyKey, IdempotencyRecord, Participant, PendingRead, PendingWrite,
    ReadMark,
};
use crate::domain::MessageId;

/// What is known of a message after it was sent: how far users have read, and which sends were
/// acknowledged. The larger id stays, in any order of arrival.
pub trait ReceiptStore: fmt::Debug + Send + Sync + 'static {
    /// Stores the newest message that a user has read in a conversation. It only moves forward, in
    /// any order of the calls.
    fn mark_read(&self, mark: ReadMark) -> PendingWrite;

    /// Reads the newest message that a user has read in a conversation.
    fn read_mark(&self, participant: Participant) -> PendingRead<Option<MessageId>>;

    /// Stores what was sent under a key, for [`IDEMPOTENCY_KEPT`](super::IDEMPOTENCY_KEPT). Of two
    /// records the one with the larger id stays, in any order of arrival; a record older than that
    /// changes nothing. A key above [`NONCE_BYTES_MAX`](crate::domain::NONCE_BYTES_MAX) is refused.
    fn put_idempotency(&self, entry: IdempotencyEntry) -> PendingWrite;

    /// Reads what was sent under a key; none if nothing was within
    /// [`IDEMPOTENCY_KEPT`](super::IDEMPOTENCY_KEPT).
    fn idempotency(&self, key: IdempotencyKey) -> PendingRead<Option<IdempotencyRecord>>;
}
