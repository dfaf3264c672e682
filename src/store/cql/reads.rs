//! The queries, except for history.

use std::sync::Arc;

use uuid::Uuid;

use super::codec::{StateCells, read_record, read_room, read_state};
use super::error::corrupt;
use super::executor::{Executor, rows_of};
use super::statements::StatementKind;
use super::writes::{date, room_name};
use crate::domain::{
    Conversation, MemberState, Membership, MessageId, Micros, NONCE_BYTES_MAX, Room, RoomId, UserId,
};
use crate::store::{
    Activity, ActivityQuery, DirectsQuery, IdempotencyKey, IdempotencyRecord, MembersPage,
    MembersQuery, MembershipKey, MembershipsQuery, Participant, ReadError,
};

/// The rooms among a user's conversations: `/` is the byte after `.`.
const ROOMS: (&str, &str) = ("room.", "room/");

/// The direct ones among them, both bounds exclusive.
const DIRECTS: (&str, &str) = ("dm.", "dm/");

/// Below the id of every user: no id has a space.
const FIRST: &str = " ";

/// A limit in the type of the servers.
pub(super) fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

pub(super) fn message_id(table: &'static str, key: &str, id: Uuid) -> Result<MessageId, ReadError> {
    MessageId::from_bytes(id.into_bytes())
        .ok_or_else(|| corrupt(table, key, format!("{id} is not a message id")))
}

/// Reads a coordinator's clock.
pub(super) async fn time(
    executor: Arc<Executor>,
    coordinator: Arc<str>,
) -> Result<Micros, ReadError> {
    let told = executor.read_at::<(i64,)>(StatementKind::Time, &coordinator).await?;
    let millis = told.and_then(|(millis,)| u64::try_from(millis).ok());
    let none = || corrupt("system.local", "local", "it reports no time");
    let time = Micros(millis.ok_or_else(none)?.saturating_mul(1000));
    executor.present.note(time);
    Ok(time)
}

/// Reads the first conversations that a user was active in on a day.
pub(super) async fn activity(
    executor: Arc<Executor>,
    ActivityQuery { user, day, limit: most }: ActivityQuery,
) -> Result<Vec<Activity>, ReadError> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let rows =
        executor.read(StatementKind::ActivityOf, (user.as_str(), date(day), limit(most))).await?;
    let mut active = Vec::new();
    for row in rows_of::<(&str, Option<Uuid>)>(&rows, "activity")? {
        let (name, Some(last)) = row? else { continue };
        let key = format!("{user} {} {name}", day.0);
        let conversation =
            Conversation::parse_full(name).map_err(|error| corrupt("activity", &key, error))?;
        active.push(Activity { conversation, last: message_id("activity", &key, last)? });
    }
    Ok(active)
}

/// Reads the first direct conversations of a user above one.
pub(super) async fn directs(
    executor: Arc<Executor>,
    DirectsQuery { user, after, limit: most }: DirectsQuery,
) -> Result<Vec<Conversation>, ReadError> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let above = after.as_ref().map_or_else(|| DIRECTS.0.to_owned(), Conversation::to_string);
    let values = (user.as_str(), above.as_str(), DIRECTS.1, limit(most));
    let rows = executor.read(StatementKind::DirectsOf, values).await?;
    let named = |row: Result<(&str,), ReadError>| {
        let (name,) = row?;
        Conversation::parse_full(name)
            .map_err(|error| corrupt("memberships", format!("{user} {name}"), error))
    };
    rows_of::<(&str,)>(&rows, "memberships")?.map(named).collect()
}

/// Whether a user is one of the two of a direct conversation that exists.
pub(super) async fn is_member(
    executor: Arc<Executor>,
    Participant { user, conversation }: Participant,
) -> Result<bool, ReadError> {
    if !conversation.is_direct_of(&user) {
        return Ok(false);
    }
    let name = conversation.to_string();
    let row = executor.read(StatementKind::MembershipOf, (user.as_str(), name.as_str())).await?;
    let row = rows_of::<MembershipCells<'_>>(&row, "memberships")?.next().transpose()?;
    Ok(row.is_some_and(|(.., kind)| kind.is_some()))
}

/// Reads a room's row.
pub(super) async fn room(executor: Arc<Executor>, id: RoomId) -> Result<Option<Room>, ReadError> {
    let row = executor.read_one::<(Option<String>,)>(StatementKind::RoomOf, (id.as_str(),)).await?;
    let Some((Some(text),)) = row else { return Ok(None) };
    let room = read_room(id.clone(), &text);
    Ok(Some(room.map_err(|error| corrupt("rooms", id.as_str(), error))?))
}

/// The cells of a row of `memberships`: those of a state, and the kind.
type MembershipCells<'a> =
    (Option<Uuid>, Option<Uuid>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// Reads the state of a user in a room. Both sides are read and merged, since a change may have
/// reached only one: the next change must be above it.
pub(super) async fn membership(
    executor: Arc<Executor>,
    MembershipKey { room, user }: MembershipKey,
) -> Result<Option<Membership>, ReadError> {
    let name = room_name(&room);
    let (of_room, of_user) = tokio::join!(
        executor.read(StatementKind::MemberOf, (room.as_str(), user.as_str())),
        executor.read(StatementKind::MembershipOf, (user.as_str(), name.as_str())),
    );
    let (of_room, of_user) = (of_room?, of_user?);
    let of_room = rows_of::<StateCells<'_>>(&of_room, "members")?.next().transpose()?;
    let of_user = rows_of::<MembershipCells<'_>>(&of_user, "memberships")?.next().transpose()?;
    let of_user = of_user.map(|(added, removed, joined, role, _)| (added, removed, joined, role));
    let key = || format!("{room} {user}");
    let said = |table, cells: Option<StateCells<'_>>| {
        cells.map_or(Ok(MemberState::UNKNOWN), |cells| state(table, &key(), cells))
    };
    let state = said("members", of_room)?.merge(said("memberships", of_user)?);
    let said = state != MemberState::UNKNOWN;
    Ok(said.then(|| Membership { room: room.clone(), user: user.clone(), state }))
}

fn state(table: &'static str, key: &str, cells: StateCells<'_>) -> Result<MemberState, ReadError> {
    read_state(cells).map_err(|error| corrupt(table, key, error))
}

/// A row of either side: the user or room, and the cells of a state.
type RowCells<'a> = (&'a str, Option<Uuid>, Option<Uuid>, Option<&'a str>, Option<&'a str>);

/// Reads a page of a room's members. It checks whether one more row follows, but does not read its
/// content.
pub(super) async fn members(
    executor: Arc<Executor>,
    MembersQuery { room, after, limit: most }: MembersQuery,
) -> Result<MembersPage, ReadError> {
    let most = most.max(1);
    let above = after.as_ref().map_or(FIRST, UserId::as_str);
    let values = (room.as_str(), above, limit(most.saturating_add(1)));
    let rows = executor.read(StatementKind::MembersOf, values).await?;
    let mut page = MembersPage::default();
    let mut last = None;
    for (place, row) in rows_of::<RowCells<'_>>(&rows, "members")?.enumerate() {
        if place == most {
            page.next = last;
            break;
        }
        let (name, added, removed, joined, role) = row?;
        let user = UserId::parse(name).map_err(|error| corrupt("members", name, error))?;
        last = Some(user.clone());
        let key = || format!("{room} {user}");
        let state = state("members", &key(), (added, removed, joined, role))?;
        let is_inside = state.is_inside();
        page.members.extend(is_inside.then(|| Membership { room: room.clone(), user, state }));
    }
    Ok(page)
}

/// Reads the first rooms that a user is or was in.
pub(super) async fn memberships(
    executor: Arc<Executor>,
    MembershipsQuery { user, limit: most }: MembershipsQuery,
) -> Result<Vec<Membership>, ReadError> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let values = (user.as_str(), ROOMS.0, ROOMS.1, limit(most));
    let rows = executor.read(StatementKind::MembershipsOf, values).await?;
    let mut memberships = Vec::new();
    for row in rows_of::<RowCells<'_>>(&rows, "memberships")? {
        let (name, added, removed, joined, role) = row?;
        let room = name.strip_prefix(ROOMS.0).unwrap_or(name);
        let room = RoomId::parse(room).map_err(|error| corrupt("memberships", name, error))?;
        let key = format!("{room} {user}");
        let state = state("memberships", &key, (added, removed, joined, role))?;
        memberships.push(Membership { room, user: user.clone(), state });
    }
    Ok(memberships)
}

/// Reads the id of a room's newest message.
pub(super) async fn head(
    executor: Arc<Executor>,
    room: RoomId,
) -> Result<Option<MessageId>, ReadError> {
    let row = executor.read_one::<(Option<Uuid>,)>(StatementKind::HeadOf, (room.as_str(),)).await?;
    let last = row.and_then(|(last,)| last);
    last.map(|id| message_id("heads", room.as_str(), id)).transpose()
}

/// Reads the newest message that a user has read in a conversation.
pub(super) async fn read_mark(
    executor: Arc<Executor>,
    Participant { user, conversation }: Participant,
) -> Result<Option<MessageId>, ReadError> {
    let name = conversation.to_string();
    let values = (user.as_str(), name.as_str());
    let row = executor.read_one::<(Option<Uuid>,)>(StatementKind::ReadMarkOf, values).await?;
    let read = row.and_then(|(read,)| read);
    read.map(|id| message_id("reads", &format!("{user} {name}"), id)).transpose()
}

/// Reads what was sent under a key and is remembered. The row's TTL counts from when it was
/// written, the guarantee from the time of the id.
pub(super) async fn idempotency(
    executor: Arc<Executor>,
    IdempotencyKey { sender, nonce }: IdempotencyKey,
) -> Result<Option<IdempotencyRecord>, ReadError> {
    if nonce.len() > NONCE_BYTES_MAX {
        return Ok(None);
    }
    let values = (sender.as_str(), &*nonce);
    let row = executor.read_one::<(Option<Vec<u8>>,)>(StatementKind::NonceOf, values).await?;
    let Some((Some(cell),)) = row else { return Ok(None) };
    let key = || format!("{sender} {}", nonce.escape_debug());
    let record = read_record(&cell).map_err(|error| corrupt("sends", key(), error))?;
    Ok(Some(record).filter(|record| record.id.time() >= executor.present.oldest_nonce()))
}
