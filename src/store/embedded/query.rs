//! The queries of the tables. Everything here blocks.

pub(super) mod rooms;

use fjall::Guard;

use super::entry::RegisterKind;
use super::row::{self, Defect};
use super::tables::{Tables, corrupt};
use super::{expiry, keys};
use crate::domain::{Conversation, Message, MessageId, UserId};
use crate::store::{
    Activity, ActivityQuery, Day, DirectsQuery, HistoryQuery, HistoryRange, IdempotencyKey,
    IdempotencyRecord, Page, Participant, ReadError,
};

/// Reads a page of a conversation.
pub(super) fn history(
    tables: &Tables,
    HistoryQuery { conversation, range, limit }: &HistoryQuery,
) -> Result<Page, ReadError> {
    let rows = tables.messages.range(keys::span(conversation, *range));
    let read = |row| message(conversation, row);
    match range {
        HistoryRange::Before(_) => Page::fill(rows.rev().map(read), *limit),
        HistoryRange::After(_) => Page::fill(rows.map(read), *limit),
    }
}

fn message(conversation: &Conversation, row: Guard) -> Result<Message, ReadError> {
    let (key, value) = row.into_inner()?;
    keys::message_id(&key)
        .ok_or(Defect::Key { part: "message id" })
        .and_then(|id| row::read_message(conversation, id, &value))
        .map_err(|defect| corrupt("messages", &key, &defect))
}

/// Reads the first conversations that a user was active in on a day.
pub(super) fn activity(
    tables: &Tables,
    ActivityQuery { user, day, limit }: &ActivityQuery,
) -> Result<Vec<Activity>, ReadError> {
    let prefix = keys::activity_day(user, *day);
    let rows = tables.activity.prefix(&prefix).take(*limit);
    rows.map(|row| active(user, prefix.len(), row)).collect()
}

fn active(user: &UserId, prefix_bytes: usize, row: Guard) -> Result<Activity, ReadError> {
    let (key, value) = row.into_inner()?;
    let conversation = std::str::from_utf8(&key[prefix_bytes..])
        .ok()
        .and_then(|text| Conversation::parse(text, user).ok())
        .ok_or(Defect::Key { part: "conversation" });
    conversation
        .and_then(|conversation| Ok(Activity { conversation, last: row::read_id(&value)? }))
        .map_err(|defect| corrupt("activity", &key, &defect))
}

/// Reads the newest message of a user's conversation on a day.
pub(super) fn last_active(
    tables: &Tables,
    user: &UserId,
    day: Day,
    conversation: &Conversation,
) -> Result<Option<MessageId>, ReadError> {
    let key = keys::activity(user, day, conversation);
    let value = tables.activity.get(&key)?;
    let last = value.map(|value| row::read_id(&value)).transpose();
    last.map_err(|defect| corrupt("activity", &key, &defect))
}

/// Reads the first direct conversations of a user above one.
pub(super) fn directs(
    tables: &Tables,
    DirectsQuery { user, after, limit }: &DirectsQuery,
) -> Result<Vec<Conversation>, ReadError> {
    let rows = tables.memberships.range(keys::directs(user, after.as_ref())).take(*limit);
    rows.map(|row| direct(user, row)).collect()
}

fn direct(user: &UserId, row: Guard) -> Result<Conversation, ReadError> {
    let key = row.key()?;
    keys::direct_of(user, &key)
        .ok_or_else(|| corrupt("memberships", &key, &Defect::Key { part: "conversation" }))
}

/// Whether a user is one of the two of a direct conversation that exists. A membership of a room
/// has a state beside its row: read it with [`rooms::membership`].
pub(super) fn is_member(
    tables: &Tables,
    Participant { user, conversation }: &Participant,
) -> Result<bool, ReadError> {
    let is_direct = matches!(conversation, Conversation::Dm(..));
    Ok(is_direct && tables.memberships.contains_key(keys::membership(user, conversation))?)
}

/// Reads the newest message that a user has read in a conversation.
pub(super) fn read_mark(
    tables: &Tables,
    Participant { user, conversation }: &Participant,
) -> Result<Option<MessageId>, ReadError> {
    register(tables, RegisterKind::ReadMark, &keys::read_mark(user, conversation), row::read_id)
}

/// Reads what was sent under a key and is remembered.
pub(super) fn idempotency(
    tables: &Tables,
    IdempotencyKey { sender, nonce }: &IdempotencyKey,
) -> Result<Option<IdempotencyRecord>, ReadError> {
    if row::check_nonce(nonce.len()).is_err() {
        return Ok(None);
    }
    let key = keys::nonce(sender, nonce);
    let record = register(tables, RegisterKind::Nonce, &key, row::read_nonce)?;
    Ok(record.filter(|record| expiry::is_kept(record.id, tables.clock.now())))
}

/// Reads the row of a register.
fn register<T>(
    tables: &Tables,
    kind: RegisterKind,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Defect>,
) -> Result<Option<T>, ReadError> {
    let (name, table) = tables.of(kind);
    let row = table.get(key)?.map(|row| read(&row)).transpose();
    row.map_err(|defect| corrupt(name, key, &defect))
}
