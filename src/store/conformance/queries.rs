//! Queries and writes of the ports, from what tests have at hand.

use crate::domain::{Conversation, MessageId, RoomId, UserId};
use crate::store::{
    ActivityQuery, Day, DirectsQuery, HistoryQuery, HistoryRange, IdempotencyEntry, IdempotencyKey,
    IdempotencyRecord, MembersQuery, MembershipKey, MembershipsQuery, PageLimit, Participant,
    ReadMark,
};

pub(crate) fn page_of(
    conversation: &Conversation,
    range: HistoryRange,
    limit: PageLimit,
) -> HistoryQuery {
    HistoryQuery { conversation: conversation.clone(), range, limit }
}

pub(crate) fn active_on(user: &UserId, day: Day, limit: usize) -> ActivityQuery {
    ActivityQuery { user: user.clone(), day, limit }
}

pub(crate) fn directs_of(
    user: &UserId,
    after: Option<&Conversation>,
    limit: usize,
) -> DirectsQuery {
    DirectsQuery { user: user.clone(), after: after.cloned(), limit }
}

pub(crate) fn participant(user: &UserId, conversation: &Conversation) -> Participant {
    Participant { user: user.clone(), conversation: conversation.clone() }
}

pub(crate) fn membership_of(room: &RoomId, user: &UserId) -> MembershipKey {
    MembershipKey { room: room.clone(), user: user.clone() }
}

pub(crate) fn members_of(room: &RoomId, after: Option<&UserId>, limit: usize) -> MembersQuery {
    MembersQuery { room: room.clone(), after: after.cloned(), limit }
}

pub(crate) fn rooms_of(user: &UserId, limit: usize) -> MembershipsQuery {
    MembershipsQuery { user: user.clone(), limit }
}

pub(crate) fn read_upto(user: &UserId, conversation: &Conversation, upto: MessageId) -> ReadMark {
    ReadMark { user: user.clone(), conversation: conversation.clone(), upto }
}

pub(crate) fn send_key(sender: &UserId, nonce: &str) -> IdempotencyKey {
    IdempotencyKey { sender: sender.clone(), nonce: nonce.into() }
}

pub(crate) fn sent_under(
    sender: &UserId,
    nonce: &str,
    record: IdempotencyRecord,
) -> IdempotencyEntry {
    IdempotencyEntry { key: send_key(sender, nonce), record }
}
