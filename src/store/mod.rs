//! Durable messages: the ports, and the backends behind them.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Store`]: the four ports together, and what belongs to the whole store |
//! | `messages` | [`MessageStore`]: messages, and which direct conversations have some |
//! | `rooms` | [`RoomStore`]: rooms and memberships |
//! | `receipts` | [`ReceiptStore`]: read marks, and which sends were acknowledged |
//! | `heartbeats` | [`HeartbeatStore`]: the cluster table, and the clocks of the servers |
//! | `page`, `activity` | queries of messages, and their answers |
//! | `members` | queries of memberships, and their answers |
//! | `read_mark`, `idempotency` | what receipts are made of |
//! | `identity` | what is made with a store and never changes |
//! | `error` | the errors, one enum per operation |
//! | `embedded` | the backend of one process: an ordered key-value engine in a directory |
//! | `cql` | the backend of a cluster: `ScyllaDB` or Apache Cassandra |
//! | `conformance` | the behaviours that every backend is tested for |

mod activity;
#[cfg(test)]
mod conformance;
mod cql;
mod embedded;
mod error;
mod heartbeats;
mod idempotency;
mod identity;
mod members;
mod messages;
mod page;
mod read_mark;
mod receipts;
mod rooms;

use std::pin::Pin;
use std::time::Duration;

use crate::telemetry::StoreFigures;

pub use activity::{ACTIVITY_KEPT, Activity, ActivityQuery, Day, DirectsQuery};
pub use cql::{
    Cql, CqlOpenError, CqlOptions, SchemaChange, SchemaVersion, ServerKind, apply_schema,
    check_schema, drop_keyspace, print_schema, retag as retag_cql,
};
pub use embedded::{
    BATCH_BYTES_MAX, Embedded, EmbeddedOptions, Inventory, MEMORY_BYTES as EMBEDDED_MEMORY_BYTES,
    OPEN_FILES_MAX, OpenError, SalvageLoss, check as check_embedded, retag as retag_embedded,
    salvage as salvage_embedded,
};
pub use error::{AppendError, HeartbeatError, ReadError};
pub use heartbeats::{HEARTBEATS_KEPT, HeartbeatStore};
pub use idempotency::{IDEMPOTENCY_KEPT, IdempotencyEntry, IdempotencyKey, IdempotencyRecord};
pub use identity::{CursorKey, Identity, RetaggedStore, StoreId};
pub use members::{LEFT_KEPT, MembersPage, MembersQuery, MembershipKey, MembershipsQuery};
pub use messages::MessageStore;
pub use page::{HistoryQuery, HistoryRange, Page, PageLimit};
pub use read_mark::{Participant, ReadMark};
pub use receipts::ReceiptStore;
pub use rooms::RoomStore;

/// An answer on its way. The work was started by the call that returned it, not by the first poll,
/// and goes on if this is dropped.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The answer to a read, on its way.
pub type PendingRead<T> = Pending<Result<T, ReadError>>;

/// The answer to a write, on its way.
pub type PendingWrite = Pending<Result<(), AppendError>>;

/// A store: its four ports, and what belongs to the whole of it.
///
/// - **Stored means durable.** A write is answered with `Ok` when all its rows would survive the
///   loss of power (embedded) or of a minority of replicas (CQL). No read of the embedded store
///   shows a row before that. Its heartbeats are in memory alone.
/// - **An answered write is seen** by every read that begins afterwards.
/// - **No call waits for a queue.** A call that finds its queue full is refused at once.
/// - **Queries are owned values**, since the work outlives the call that starts it.
pub trait Store: MessageStore + RoomStore + ReceiptStore + HeartbeatStore {
    /// What was made with the store.
    fn identity(&self) -> &Identity;

    /// How long messages are kept from when they are written; none means without end.
    fn retention(&self) -> Option<Duration> {
        None
    }

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
