//! Durable messages: the port, and the backends behind it.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Store`], the port: what every backend must do |
//! | `identity` | what is made with a store and never changes |
//! | `page` | ranges, pages and how they are filled |
//! | `error` | the errors, one enum per operation |
//! | `embedded` | the backend of one process: an ordered key-value engine in a directory |
//! | `cql` | the backend of a cluster: `ScyllaDB` or Apache Cassandra |
//! | `conformance` | the behaviours that every backend is tested for |

#[cfg(test)]
mod conformance;
mod cql;
mod embedded;
mod error;
mod identity;
mod page;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClocks;
use crate::cluster::Heartbeat;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId, UserId};
use crate::telemetry::StoreFigures;

pub use cql::{
    Cql, CqlOpenError, CqlOptions, SchemaChange, ServerKind, apply_schema, check_schema,
    print_schema,
};
pub use embedded::{
    BATCH_BYTES_MAX, Embedded, EmbeddedOptions, Inventory, MEMORY_BYTES as EMBEDDED_MEMORY_BYTES,
    OPEN_FILES_MAX, OpenError, SalvageLoss, check as check_embedded, salvage as salvage_embedded,
};
pub use error::{AppendError, ReadError, RowError};
pub use identity::{CursorKey, Identity, StoreId};
pub use page::{HistoryRange, Page, PageLimit};

/// An answer on its way. The work was started by the call that returned it, not by the first poll,
/// and goes on if this is dropped.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How long a row of the cluster table is kept after the last write of its incarnation.
pub const HEARTBEATS_KEPT: Duration = Duration::from_hours(1);

/// A day of the Unix epoch, UTC, counted from 0: the unit that activity is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day that a time lies in.
    pub const fn of(time: Micros) -> Self {
        const MICROS_A_DAY: u64 = 24 * 60 * 60 * 1_000_000;
        Self((time.0 / MICROS_A_DAY) as u32)
    }
}

/// The newest message of a direct conversation on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The conversation.
    pub conversation: Conversation,
    /// The largest id stored in it that day, in any order of storing.
    pub last: MessageId,
}

/// A page of a room's members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MembersPage {
    /// The members, in the order of their ids.
    pub members: Vec<Membership>,
    /// Where to read on after; none at the end.
    pub next: Option<UserId>,
}

/// What was sent under a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceRecord {
    /// The message.
    pub id: MessageId,
    /// A hash of its conversation and body: a nonce is never used again for other content.
    pub content: u128,
}

/// How long the direct conversations that were active on a day are kept. A device that is away for
/// longer does not learn what it missed. An inbox lists conversations that were active before that
/// by name.
pub const ACTIVITY_KEPT: Duration = Duration::from_hours(35 * 24);

/// How long a room that a user left stays on the list of the user's rooms. A node that missed the
/// removal learns of it there, and no node is cut off from the others for that long.
pub const LEFT_KEPT: Duration = Duration::from_hours(35 * 24);

/// How long a nonce is remembered: from the time of its message's id, by the wall clock.
pub const NONCE_KEPT: Duration = Duration::from_hours(24);

/// A store of messages.
///
/// - **Stored means durable.** `append` answers `Ok` when all rows of the message would survive the
///   loss of power (embedded) or of a minority of replicas (CQL), and no read shows a row before
///   that.
/// - **An answered append is seen** by every read that begins afterwards.
/// - **No call waits for a queue.** A call that finds its queue full is refused at once.
/// - Ids come from outside and decide everything: place, day and time. Storing a message again
///   under its id changes nothing.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// What was made with the store and never changes.
    fn identity(&self) -> &Identity;

    /// The clocks of all nodes on the store, where they are in one process (embedded). They started
    /// above every message's id and every stamp that was in the store when it was opened. Read
    /// marks do not count, since clients choose them. None for a cluster's store: its nodes check
    /// their clocks against [`Self::time`].
    fn shared_clocks(&self) -> Option<SharedClocks> {
        None
    }

    /// The servers whose clocks nodes check theirs against, by address. There are at most
    /// [`COORDINATORS_MAX`](crate::clock::COORDINATORS_MAX), the same and in the same order for all
    /// nodes, reachable or not.
    fn coordinators(&self) -> Vec<Arc<str>>;

    /// Asks one of [`Self::coordinators`] for its time, to the millisecond.
    fn time(&self, coordinator: &str) -> Pending<Result<Micros, ReadError>>;

    /// How long messages are kept from when they are written; none means without end.
    fn retention(&self) -> Option<Duration> {
        None
    }

    /// Stores a message, with all its rows or none. A direct conversation has the activity of both
    /// users on the day of its id, and both memberships; a room has its head.
    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>>;

    /// Reads a conversation's messages from one end of a range on, at most a page. A conversation
    /// without messages is an empty page.
    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>>;

    /// Reads which direct conversations of a user had messages on a day: the first `limit` in the
    /// order of their names. If it returns `limit` of them there may be more.
    fn activity(
        &self,
        user: &UserId,
        day: Day,
        limit: usize,
    ) -> Pending<Result<Vec<Activity>, ReadError>>;

    /// Reads which direct conversations of a user ever had a message, of any age and even if the
    /// message is not kept. It returns the first `limit` above `after`, in the order of their names
    /// as text. If it returns `limit` of them there may be more.
    fn directs(
        &self,
        user: &UserId,
        after: Option<&Conversation>,
        limit: usize,
    ) -> Pending<Result<Vec<Conversation>, ReadError>>;

    /// Whether a message was ever stored in a direct conversation that the user belongs to. It is
    /// never true of a room: use [`Self::membership`] there.
    fn is_member(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<bool, ReadError>>;

    /// Stores a room's row, whole. Of two rows of one room the one with the larger stamp stays, in
    /// any order of arrival.
    fn put_room(&self, room: Room) -> Pending<Result<(), AppendError>>;

    /// Reads a room's row.
    fn room(&self, room: &RoomId) -> Pending<Result<Option<Room>, ReadError>>;

    /// Stores a user's state in a room, to be read from either side. Of two the one with the larger
    /// stamp stays, in any order of arrival. Storing it again changes nothing.
    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>>;

    /// Reads a user's state in a room; none if it was never set. Where the two sides are separate
    /// rows both are read, and the larger stamp counts. The next change must be above every earlier
    /// one on either of them.
    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>>;

    /// Reads a room's members in the order of their ids, from above `after` on. It looks at `limit`
    /// rows at most (zero counts as one), including those of members who left. So a page may be
    /// short or empty before the end.
    fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Pending<Result<MembersPage, ReadError>>;

    /// Reads a user's states in rooms, including those that the user left: the first `limit` in the
    /// order of their ids. If it returns `limit` of them there may be more.
    fn memberships(
        &self,
        user: &UserId,
        limit: usize,
    ) -> Pending<Result<Vec<Membership>, ReadError>>;

    /// Removes a room that a user left from the list of the user's rooms, which
    /// [`Self::memberships`] reads; [`Self::membership`] still returns it. An add that is stored by
    /// then, or later, stays in any order of arrival: only what the given removal followed is
    /// removed.
    fn unlist(&self, left: Membership) -> Pending<Result<(), AppendError>>;

    /// Reads the id of a room's newest message; none if it has none.
    fn head(&self, room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>>;

    /// Stores the newest message that a user has read in a conversation. It only moves forward, in
    /// any order of the calls.
    fn mark_read(
        &self,
        user: &UserId,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Pending<Result<(), AppendError>>;

    /// Reads the newest message that a user has read in a conversation.
    fn read_mark(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<Option<MessageId>, ReadError>>;

    /// Stores what was sent under a nonce, for [`NONCE_KEPT`]. Of two records the one with the
    /// larger id stays, in any order of arrival; a record older than that changes nothing. A nonce
    /// above [`NONCE_BYTES_MAX`](crate::domain::NONCE_BYTES_MAX) is refused.
    fn note_nonce(
        &self,
        sender: &UserId,
        nonce: &str,
        record: NonceRecord,
    ) -> Pending<Result<(), AppendError>>;

    /// Reads what was sent under a nonce; none if nothing was within [`NONCE_KEPT`].
    fn nonce(
        &self,
        sender: &UserId,
        nonce: &str,
    ) -> Pending<Result<Option<NonceRecord>, ReadError>>;

    /// Writes a row of the cluster table, whole. Of one incarnation the row with the highest
    /// counter stays, in any order of arrival.
    fn write_row(&self, row: Heartbeat) -> Pending<Result<(), RowError>>;

    /// Reads every row of the cluster table whose incarnation was written within [`HEARTBEATS_KEPT`].
    fn heartbeats(&self) -> Pending<Result<Vec<Heartbeat>, ReadError>>;

    /// Why nothing can be written until the process is restarted; none while all is well.
    fn failure(&self) -> Option<String>;

    /// Whether the cause of the [`Self::failure`] is gone, so that a restart of the process helps.
    fn is_worth_a_restart(&self) -> bool {
        false
    }

    /// Counts of the servers that it uses; none if it uses none.
    fn figures(&self) -> Option<StoreFigures>;

    /// Refuses further calls, finishes those that it accepted, and frees threads, files and locks.
    /// Closing again waits for the same end.
    fn close(&self) -> Pending<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let midnight = Micros(20_416 * 86_400_000_000);
        assert_eq!(Day::of(midnight), Day(20_416));
        assert_eq!(Day::of(Micros(midnight.0 - 1)), Day(20_415));
        assert_eq!(Day::of(Micros(0)), Day(0));
    }
}
