//! The rows of each call. All of a call's rows are written at once, and it is answered when all
//! are.

use std::sync::Arc;

use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use super::codec;
use super::error::{WriteFailure, together};
use super::executor::Executor;
use super::statements::StatementKind;
use super::window::MessageWindow;
use super::write_cache::WriteMark;
use crate::domain::{
    Conversation, MemberState, Membership, Message, MessageId, NEVER, NONCE_BYTES_MAX, Room,
    RoomId, UserId,
};
use crate::store::{AppendError, Day, IdempotencyEntry, IdempotencyKey, ReadMark};

/// The timestamp of rows that only state that they exist.
const ONCE: i64 = 1;

/// The timestamp of a register: the id's time, so that the last write by the id wins.
pub(super) fn timestamp(id: MessageId) -> i64 {
    i64::try_from(id.time().0).unwrap_or(i64::MAX)
}

pub(super) fn uuid(id: MessageId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

/// A day in the form of the servers: the epoch is in the middle.
pub(super) const fn date(day: Day) -> CqlDate {
    CqlDate(day.0.wrapping_add(1 << 31))
}

/// Writes a message: its row, its window, and the activity of both users or the head of the room.
/// Rows that this node knows to be there are not written again.
pub(super) async fn append(
    executor: Arc<Executor>,
    message: Arc<Message>,
) -> Result<(), AppendError> {
    let Message { id, conversation, .. } = &*message;
    let Ok(body) = std::str::from_utf8(&message.body) else {
        return Err(WriteFailure::unsent("the body is not text").into());
    };
    let window = MessageWindow::of(conversation, id.time());
    let name = conversation.to_string();
    let row = executor.write(
        StatementKind::Message,
        (
            name.as_str(),
            CqlTimestamp(window.millis()),
            uuid(*id),
            message.from.as_str(),
            message.nonce.as_deref().unwrap_or_default(),
            body,
            timestamp(*id),
        ),
    );
    let in_window = once(&executor, executor.written.mark(&name, Some(window)), async {
        // By the id, so that a node with a longer retention prevails.
        let values = (name.as_str(), CqlTimestamp(window.millis()), timestamp(*id));
        executor.write(StatementKind::Window, values).await
    });
    let newest = async {
        match conversation {
            Conversation::Dm(one, other) => direct(&executor, (one, other), &name, *id).await,
            Conversation::Room(room) => {
                let head =
                    executor.write(StatementKind::Head, (room.as_str(), uuid(*id), timestamp(*id)));
                [Some(head.await), None, None, None]
            }
        }
    };
    let (row, in_window, newest) = tokio::join!(row, in_window, newest);
    together([Some(row), in_window].into_iter().chain(newest).flatten())
}

/// The outcome of a row or a cell; none if it need not be written.
pub(super) type WriteOutcome = Option<Result<(), WriteFailure>>;

/// Writes a direct message's activity for its one or two users.
async fn direct(
    executor: &Executor,
    (one, other): (&UserId, &UserId),
    name: &str,
    id: MessageId,
) -> [WriteOutcome; 4] {
    let day = date(Day::of(id.time()));
    let active = async |user: &UserId| {
        executor
            .write(StatementKind::Activity, (user.as_str(), day, name, uuid(id), timestamp(id)))
            .await
    };
    let is_two = one != other;
    let first = async { Some(active(one).await) };
    let second = async { if is_two { Some(active(other).await) } else { None } };
    let members = become_members(executor, (one, other), name);
    let (first, second, [third, fourth]) = tokio::join!(first, second, members);
    [first, second, third, fourth]
}

/// Both memberships of a direct conversation, unless this node has written them.
async fn become_members(
    executor: &Executor,
    (one, other): (&UserId, &UserId),
    name: &str,
) -> [WriteOutcome; 2] {
    let mark = executor.written.mark(name, None);
    if executor.written.has(mark) {
        return [None, None];
    }
    let member = async |user: &UserId| {
        executor.write(StatementKind::Direct, (user.as_str(), name, codec::DIRECT, ONCE)).await
    };
    let first = async { Some(member(one).await) };
    let second = async { if one == other { None } else { Some(member(other).await) } };
    let both: [WriteOutcome; 2] = tokio::join!(first, second).into();
    if both.iter().flatten().all(Result::is_ok) {
        executor.written.note(mark);
    }
    both
}

/// Writes what this node has not written yet.
async fn once(
    executor: &Executor,
    mark: WriteMark,
    write: impl Future<Output = Result<(), WriteFailure>>,
) -> WriteOutcome {
    if executor.written.has(mark) {
        return None;
    }
    let written = write.await;
    if written.is_ok() {
        executor.written.note(mark);
    }
    Some(written)
}

/// Writes a room.
pub(super) async fn put_room(executor: Arc<Executor>, room: Room) -> Result<(), AppendError> {
    let values = (room.id.as_str(), codec::room(&room), timestamp(room.stamp));
    Ok(executor.write(StatementKind::Room, values).await?)
}

/// The statements of a side of a membership, one per register.
pub(super) struct MembershipSide {
    added: StatementKind,
    removed: StatementKind,
    joined: StatementKind,
    role: StatementKind,
}

/// The room's side.
pub(super) const OF_ROOM: MembershipSide = MembershipSide {
    added: StatementKind::MemberAdded,
    removed: StatementKind::MemberRemoved,
    joined: StatementKind::MemberJoined,
    role: StatementKind::MemberRole,
};

/// The user's side.
pub(super) const OF_USER: MembershipSide = MembershipSide {
    added: StatementKind::MembershipAdded,
    removed: StatementKind::MembershipRemoved,
    joined: StatementKind::MembershipJoined,
    role: StatementKind::MembershipRole,
};

/// Writes a user's state in a room, on both sides.
pub(super) async fn put_membership(
    executor: Arc<Executor>,
    membership: Membership,
) -> Result<(), AppendError> {
    let Membership { room, user, state } = &membership;
    let conversation = room_name(room);
    let (of_room, of_user) = tokio::join!(
        put_state(&executor, &OF_ROOM, (room.as_str(), user.as_str()), state),
        put_state(&executor, &OF_USER, (user.as_str(), conversation.as_str()), state),
    );
    together(of_room.into_iter().chain(of_user).flatten())
}

/// Writes one side of a membership: a cell for each register that was ever set, each at a time of
/// its own, by which the server merges it. See `cells`.
pub(super) async fn put_state(
    executor: &Executor,
    side: &MembershipSide,
    (first, second): (&str, &str),
    state: &MemberState,
) -> [WriteOutcome; 4] {
    let stamp = async |kind, stamp: MessageId| {
        if stamp == NEVER {
            return None;
        }
        Some(executor.write(kind, (first, second, uuid(stamp), timestamp(stamp))).await)
    };
    let text = async |kind, text: Option<String>, at: i64| {
        Some(executor.write(kind, (first, second, text?, at)).await)
    };
    let above_removal = timestamp(state.joined_after) + 1;
    tokio::join!(
        stamp(side.added, state.added),
        stamp(side.removed, state.removed),
        text(side.joined, codec::joined(state), above_removal),
        text(side.role, codec::role(state), timestamp(state.role_stamp)),
    )
    .into()
}

/// Removes a room that a user left from the user's side. The deletion has the time of the removal:
/// it deletes everything that the removal followed. A joining that follows the removal stays, since
/// it is written one microsecond above. The room's side keeps the stamp that a joining must follow.
pub(super) async fn unlist(executor: Arc<Executor>, left: Membership) -> Result<(), AppendError> {
    let conversation = room_name(&left.room);
    let at = timestamp(left.state.removed);
    Ok(executor
        .write(StatementKind::Unlist, (at, left.user.as_str(), conversation.as_str()))
        .await?)
}

/// A room as a conversation.
pub(super) fn room_name(room: &RoomId) -> String {
    Conversation::Room(room.clone()).to_string()
}

/// Writes the newest message that a user has read.
pub(super) async fn mark_read(
    executor: Arc<Executor>,
    ReadMark { user, conversation, upto }: ReadMark,
) -> Result<(), AppendError> {
    let name = conversation.to_string();
    let values = (user.as_str(), name.as_str(), uuid(upto), timestamp(upto));
    Ok(executor.write(StatementKind::ReadMark, values).await?)
}

/// Writes what was sent under a key. The record's timestamp is its id's time, so the largest id
/// stays.
pub(super) async fn put_idempotency(
    executor: Arc<Executor>,
    IdempotencyEntry { key: IdempotencyKey { sender, nonce }, record }: IdempotencyEntry,
) -> Result<(), AppendError> {
    if nonce.len() > NONCE_BYTES_MAX {
        let bytes = nonce.len();
        let reason = format!("the nonce has {bytes} bytes, at most {NONCE_BYTES_MAX} are allowed");
        return Err(AppendError::Unavailable { reason });
    }
    if record.id.time() < executor.present.oldest_nonce() {
        return Ok(());
    }
    let cell = codec::record(&record);
    let values = (sender.as_str(), &*nonce, cell.as_slice(), timestamp(record.id));
    Ok(executor.write(StatementKind::Nonce, values).await?)
}
