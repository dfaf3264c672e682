//! What is written. Callers' threads encode it, so that the write thread need not.

use std::sync::Arc;

use super::keys::{self, RowKey};
use super::row::{self, Defect};
use crate::domain::{Membership, Message, MessageId, Micros, Room, RoomId};
use crate::store::{IdempotencyEntry, IdempotencyKey, ReadMark};

/// Bytes of the two rows of a membership: five ids each, an adder, and up to three bytes more.
const MEMBERSHIP_BYTES: usize = 2 * (5 * 16 + 8 + 3);

/// The write of one call.
#[derive(Debug)]
pub(super) enum BatchEntry {
    /// A message and its row.
    Message { message: Arc<Message>, row: Vec<u8> },
    /// A register, of which one row stays. Boxed, so that the items of a queue of messages are
    /// small.
    Register(Box<Register>),
    /// A user's state in a room. It merges with what is stored.
    Membership(Box<Membership>),
    /// A room that a user left is removed from the list of the user's rooms.
    Unlist(Box<Membership>),
}

/// A row of which one stays under its key, in any order of arrival.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) kind: RegisterKind,
    pub(super) key: RowKey,
    /// Decides which row stays. It is also in the row, directly behind the version.
    pub(super) rank: MessageId,
    pub(super) row: Vec<u8>,
}

/// The content of a register, which decides the table and the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RegisterKind {
    Room,
    Head,
    ReadMark,
    Nonce,
}

impl BatchEntry {
    pub(super) fn message(message: Arc<Message>) -> Result<Self, Defect> {
        Ok(Self::Message { row: row::message(&message)?, message })
    }

    pub(super) fn room(room: &Room) -> Self {
        Self::register(RegisterKind::Room, keys::room(&room.id), room.stamp, row::room(room))
    }

    pub(super) fn membership(membership: Membership) -> Self {
        Self::Membership(Box::new(membership))
    }

    pub(super) fn unlist(left: Membership) -> Self {
        Self::Unlist(Box::new(left))
    }

    pub(super) fn read_mark(ReadMark { user, conversation, upto }: &ReadMark) -> Self {
        let (key, row) = (keys::read_mark(user, conversation), row::id(*upto).to_vec());
        Self::register(RegisterKind::ReadMark, key, *upto, row)
    }

    pub(super) fn idempotency(
        IdempotencyEntry { key: IdempotencyKey { sender, nonce }, record }: &IdempotencyEntry,
    ) -> Result<Self, Defect> {
        row::check_nonce(nonce.len())?;
        let row = row::nonce(record).to_vec();
        Ok(Self::register(RegisterKind::Nonce, keys::nonce(sender, nonce), record.id, row))
    }

    fn register(kind: RegisterKind, key: RowKey, rank: MessageId, row: Vec<u8>) -> Self {
        Self::Register(Box::new(Register { kind, key, rank, row }))
    }

    /// Bytes of its rows.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Message { row, .. } => row.len(),
            Self::Register(register) => register.row.len(),
            Self::Membership(_) | Self::Unlist(_) => MEMBERSHIP_BYTES,
        }
    }

    /// The time that the clock of ids made this at. There is none for what clients choose: they
    /// could push the clock of the next start ahead. There is none either for rows that repeat a
    /// message's time.
    pub(super) fn issued(&self) -> Option<Micros> {
        match self {
            Self::Message { message, .. } => Some(message.id.time()),
            Self::Register(register) => match register.kind {
                RegisterKind::Room => Some(register.rank.time()),
                RegisterKind::Head | RegisterKind::ReadMark | RegisterKind::Nonce => None,
            },
            Self::Membership(membership) => Some(membership.stamp().time()),
            Self::Unlist(_) => None,
        }
    }
}

impl Register {
    /// The head of a room with this newest message.
    pub(super) fn head(room: &RoomId, newest: MessageId) -> Self {
        let (key, row) = (keys::room(room), row::id(newest).to_vec());
        Self { kind: RegisterKind::Head, key, rank: newest, row }
    }
}
