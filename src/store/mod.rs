//! Durable messages: the port, and the backends behind it.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Store`], the port: what every backend must do |
//! | `identity` | what is made with a store and never changes |
//! | `page` | ranges, pages and how they are filled |
//! | `error` | what may go wrong, one enum an operation |
//! | `embedded` | the backend of one process: an ordered key-value engine in a directory |
//! | `cql` | the backend of a cluster: `ScyllaDB` or Apache Cassandra |
//! | `suite` | the behaviours that every backend is tested for |

mod cql;
mod embedded;
mod error;
mod identity;
mod page;
#[cfg(test)]
mod suite;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClocks;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId, UserId};
use crate::roster::Row;
use crate::telemetry::StoreFigures;

pub use cql::{
    Applied, Cql, CqlOpenError, CqlOptions, Credentials, ServerKind, apply_schema, check_schema,
    print_schema,
};
pub use embedded::{
    BATCH_BYTES_MAX, BATCH_ROWS, Embedded, EmbeddedOptions, Inventory, Loss,
    MEMORY_BYTES as EMBEDDED_MEMORY_BYTES, OPEN_FILES_MAX, OpenError, READ_QUEUE, WRITE_QUEUE,
    check as check_embedded, salvage as salvage_embedded,
};
pub use error::{AppendError, ReadError, RowError};
pub use identity::{CursorKey, Identity, StoreId};
pub use page::{HistoryRange, Page, PageLimit};

/// An answer on its way. The work was begun by the call that returned it, not by the first poll,
/// and goes on if this is dropped.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How long a row of the roster is kept after the last write of its incarnation.
pub const ROSTER_KEPT: Duration = Duration::from_hours(1);

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
    /// The largest id stored in it that day, whatever order they were stored in.
    pub last: MessageId,
}

/// A page of a room's members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MembersPage {
    /// Those who are in it, in the order of their ids.
    pub members: Vec<Membership>,
    /// What to read on after; none at the end.
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

/// How long it is known which direct conversations were active on a day: whoever comes back later
/// is not told what he missed, and an inbox lists those that were active before by name.
pub const ACTIVITY_KEPT: Duration = Duration::from_hours(35 * 24);

/// How long a room that a user left stays on the list of the user's rooms. A node that did not hear of
/// the removal learns of it there, and no node is cut off from the others for that long.
pub const LEFT_KEPT: Duration = Duration::from_hours(35 * 24);

/// How long a nonce is remembered: from the time of its message's id, by the wall clock.
pub const NONCE_KEPT: Duration = Duration::from_hours(24);

/// A store of messages.
///
/// - **Stored means durable.** `append` answers `Ok` when all rows of the message would survive
///   the loss of power (embedded) or of a minority of replicas (CQL), and no read shows a row
///   before that.
/// - **An answered append is seen** by every read that begins afterwards.
/// - **Nothing waits for room.** A call that finds its queue full is refused at once.
/// - Ids come from outside and decide everything: place, day and time. Storing a message again
///   under its id changes nothing.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// What was made with the store and never changes.
    fn identity(&self) -> &Identity;

    /// The clocks of all nodes on the store, where they are in one process (embedded). They began
    /// above every message's id and every stamp that was in the store when it was opened; read
    /// marks do not count, clients choose them. None for a cluster's store: its nodes check their
    /// clocks against [`Self::time`].
    fn shared_clocks(&self) -> Option<SharedClocks> {
        None
    }

    /// The servers whose clocks nodes check theirs against, by address: at most
    /// [`COORDINATORS_MAX`](crate::clock::COORDINATORS_MAX), the same ones and in the same order for
    /// all nodes, whether or not they can be reached now.
    fn coordinators(&self) -> Vec<Arc<str>>;

    /// Asks one of [`Self::coordinators`] for its time, to the millisecond.
    fn time(&self, coordinator: &str) -> Pending<Result<Micros, ReadError>>;

    /// How long messages are kept from when they are written; none is for ever.
    fn retention(&self) -> Option<Duration> {
        None
    }

    /// Stores a message: its row and, of a direct conversation, the activity of both users on the
    /// day of its id and the membership of both; of a room, its head. Together or not at all.
    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>>;

    /// Reads a conversation's messages from one end of a range on, at most a page. A conversation
    /// without messages is an empty page.
    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>>;

    /// Reads which direct conversations of a user had messages on a day: the first `limit` of them
    /// in the order of their names, so as many as `limit` means that there may be more.
    fn activity(
        &self,
        user: &UserId,
        day: Day,
        limit: usize,
    ) -> Pending<Result<Vec<Activity>, ReadError>>;

    /// Reads which direct conversations of a user ever had a message, however long ago and whether
    /// or not it is kept: the first `limit` above `after` in the order of their names as text, so as
    /// many as `limit` means that there may be more.
    fn directs(
        &self,
        user: &UserId,
        after: Option<&Conversation>,
        limit: usize,
    ) -> Pending<Result<Vec<Conversation>, ReadError>>;

    /// Whether a message was ever stored in a direct conversation that the user is one of the two
    /// of; never of a room, where [`Self::membership`] says it.
    fn is_member(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<bool, ReadError>>;

    /// Stores a room's row, whole. Of two rows of one room the one with the larger stamp stays,
    /// whatever order they come in.
    fn put_room(&self, room: Room) -> Pending<Result<(), AppendError>>;

    /// Reads a room's row.
    fn room(&self, room: &RoomId) -> Pending<Result<Option<Room>, ReadError>>;

    /// Stores where a user stands with a room, to be read from either side. Of two the one with the
    /// larger stamp stays, whatever order they come in. Storing it again changes nothing.
    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>>;

    /// Reads where a user stands with a room; none if nothing was ever said of it. Where the two
    /// sides are rows apart both are read, and the larger stamp counts: what is said next must be
    /// above whatever an earlier change left on one of them.
    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>>;

    /// Reads a room's members in the order of their ids, from above `after` on. At most `limit` rows
    /// are looked at (nought counts as one), those of members who left included, so a page may be
    /// short or empty before the end.
    fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Pending<Result<MembersPage, ReadError>>;

    /// Reads where a user stands with rooms, those that he left included: the first `limit` in the
    /// order of their ids, so as many as `limit` means that there may be more.
    fn memberships(
        &self,
        user: &UserId,
        limit: usize,
    ) -> Pending<Result<Vec<Membership>, ReadError>>;

    /// Takes a room that a user left off the list of the user's rooms, which [`Self::memberships`]
    /// reads; [`Self::membership`] goes on saying it. An add that is stored by then, or later, stays
    /// whatever order the two come in: only what the given removal followed goes.
    fn unlist(&self, left: Membership) -> Pending<Result<(), AppendError>>;

    /// Reads the id of a room's newest message; none if it has none.
    fn head(&self, room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>>;

    /// Stores up to where a user has read a conversation. It only moves forward, whatever order the
    /// calls come in.
    fn mark_read(
        &self,
        user: &UserId,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Pending<Result<(), AppendError>>;

    /// Reads up to where a user has read a conversation.
    fn read_mark(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<Option<MessageId>, ReadError>>;

    /// Stores what was sent under a nonce, for [`NONCE_KEPT`]. Of two records the one with the
    /// larger id stays, whatever order they come in; what is older than that changes nothing. A
    /// nonce above [`NONCE_BYTES_MAX`](crate::domain::NONCE_BYTES_MAX) is refused.
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

    /// Writes a row of the roster, whole. Of one incarnation the row with the highest counter
    /// stays, whatever order they come in.
    fn write_row(&self, row: Row) -> Pending<Result<(), RowError>>;

    /// Reads every row of the roster whose incarnation was written within [`ROSTER_KEPT`].
    fn roster(&self) -> Pending<Result<Vec<Row>, ReadError>>;

    /// Why nothing can be written any more until the process is started anew; none while all is
    /// well.
    fn failure(&self) -> Option<String>;

    /// Whether what caused the [`Self::failure`] is gone, so that the process had better be started
    /// anew.
    fn is_worth_a_restart(&self) -> bool {
        false
    }

    /// What it counts of the servers that it asks; none where it asks none.
    fn figures(&self) -> Option<StoreFigures>;

    /// Takes no more calls, finishes those it took, and gives up threads, files and locks. Calls
    /// made later are refused; closing again waits for the same end.
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
