//! The schema as data: it is printed, applied and checked from here.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | the tables, in the subset of CQL that `ScyllaDB` and Cassandra share |
//! | `ddl` | the statements, by the kind of server |
//! | `introspect` | what a keyspace holds, and how that differs |
//! | `meta` | version, namespace and identity: rows of `meta` |
//! | `version` | the version, and which versions fit each other |
//! | `apply` | making it all, from several places at once |
//! | `retag` | a new identity for a keyspace that was restored |
//!
//! No counters, no conditional statements, no views or secondary indexes: tables may be on tablets.
//! No null is bound, and only rows of `memberships` are deleted: those of rooms that the user left
//! over 35 days ago. The deletion has the removal's timestamp. All other tombstones are those of
//! expired rows.

mod apply;
mod ddl;
mod introspect;
mod meta;
mod query;
mod retag;
mod version;

pub use apply::{SchemaChange, apply, check, drop_keyspace};
pub use ddl::{ServerKind, print};
pub(super) use introspect::FoundSchema;
pub(super) use meta::admitted;
pub use retag::retag;
pub use version::SchemaVersion;

use std::time::Duration;

use crate::store::{ACTIVITY_KEPT, HEARTBEATS_KEPT, IDEMPOTENCY_KEPT};

/// How much longer a row of `windows` is kept than the messages of its window. A node writes it
/// once, early in a window of up to a day, and it must outlive the last of them. The second day is
/// a margin.
const WINDOW_OUTLIVES: Duration = Duration::from_hours(2 * 24);

/// How long rows of a table are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Without end.
    Ever,
    /// For this time.
    For(Duration),
    /// As long as the operator's setting, and this much longer.
    Retention(Duration),
}

impl Life {
    /// In seconds, as the servers count; 0 means without end.
    fn seconds(self, retention: Option<Duration>) -> i32 {
        let kept = match self {
            Self::Ever => None,
            Self::For(time) => Some(time),
            Self::Retention(more) => retention.map(|time| time + more),
        };
        kept.map_or(0, |time| i32::try_from(time.as_secs()).unwrap_or(i32::MAX))
    }
}

/// A column, its type and its part in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column(&'static str, &'static str, Part);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Of the partition key.
    Partition,
    /// Orders the rows of a partition.
    Rising,
    /// As `Rising`, the largest first.
    Falling,
    /// Not part of the key.
    Value,
}

/// A table.
#[derive(Debug)]
struct Table {
    name: &'static str,
    columns: &'static [Column],
    life: Life,
    /// Whether rows are written once and expire in the order of their arrival. Then whole files are
    /// dropped, and nothing is compacted with rows of another age.
    is_series: bool,
    /// The table's comment in the schema.
    comment: &'static str,
}

use Part::{Falling, Partition, Rising, Value};

const TABLES: [Table; 13] = [
    Table {
        name: "messages",
        columns: &[
            Column("conversation", "text", Partition),
            Column("window", "timestamp", Partition),
            Column("id", "uuid", Falling),
            Column("sender", "text", Value),
            Column("nonce", "text", Value),
            Column("body", "text", Value),
        ],
        life: Life::Retention(Duration::ZERO),
        is_series: true,
        comment: "messages; a window is a day of a direct conversation, an hour of a room",
    },
    Table {
        name: "windows",
        columns: &[
            Column("conversation", "text", Partition),
            Column("window", "timestamp", Falling),
        ],
        life: Life::Retention(WINDOW_OUTLIVES),
        is_series: false,
        comment: "which windows of a conversation hold messages",
    },
    Table {
        name: "activity",
        columns: &[
            Column("user", "text", Partition),
            Column("day", "date", Partition),
            Column("conversation", "text", Rising),
            Column("last_id", "uuid", Value),
        ],
        life: Life::For(ACTIVITY_KEPT),
        is_series: false,
        comment: "direct conversations that were active on a day, and their newest message of it",
    },
    Table {
        name: "heads",
        columns: &[Column("room", "text", Partition), Column("last_id", "uuid", Value)],
        life: Life::Ever,
        is_series: false,
        comment: "the newest message of a room",
    },
    Table {
        name: "rooms",
        columns: &[Column("id", "text", Partition), Column("room", "text", Value)],
        life: Life::Ever,
        is_series: false,
        comment: "rooms: stamp, then title, data, creator, past, created",
    },
    Table {
        name: "members",
        columns: &[
            Column("room", "text", Partition),
            Column("user", "text", Rising),
            Column("added", "uuid", Value),
            Column("removed", "uuid", Value),
            Column("joined", "text", Value),
            Column("role", "text", Value),
        ],
        life: Life::Ever,
        is_series: false,
        comment: "members of a room: in it if added is above removed; see cells",
    },
    Table {
        name: "memberships",
        columns: &[
            Column("user", "text", Partition),
            Column("conversation", "text", Rising),
            Column("kind", "text", Value),
            Column("added", "uuid", Value),
            Column("removed", "uuid", Value),
            Column("joined", "text", Value),
            Column("role", "text", Value),
        ],
        life: Life::Ever,
        is_series: false,
        comment: "rooms of a user, as in members; of a direct conversation kind is dm",
    },
    Table {
        name: "reads",
        columns: &[
            Column("user", "text", Partition),
            Column("conversation", "text", Rising),
            Column("read_id", "uuid", Value),
        ],
        life: Life::Ever,
        is_series: false,
        comment: "up to where a user has read",
    },
    Table {
        name: "sends",
        columns: &[
            Column("sender", "text", Partition),
            Column("nonce", "text", Partition),
            Column("record", "blob", Value),
        ],
        life: Life::For(IDEMPOTENCY_KEPT),
        is_series: true,
        comment: "what was sent under a nonce: id, hash of its content",
    },
    Table {
        name: "users",
        columns: &[
            Column("user", "text", Partition),
            Column("sessions_valid_after", "timestamp", Value),
        ],
        life: Life::Ever,
        is_series: false,
        comment: "since when a user's tokens are good",
    },
    Table {
        name: "revocations",
        columns: &[
            Column("minute", "timestamp", Partition),
            Column("user", "text", Rising),
            Column("valid_after", "timestamp", Value),
        ],
        life: Life::Ever,
        is_series: false,
        comment: "revocations by the minute they were made in; each row has a TTL of its own",
    },
    Table {
        name: "meta",
        columns: &[Column("key", "text", Partition), Column("value", "text", Value)],
        life: Life::Ever,
        is_series: false,
        comment: "schema version, namespace, identity",
    },
    Table {
        name: "heartbeats",
        columns: &[
            Column("namespace", "text", Partition),
            Column("incarnation", "uuid", Rising),
            Column("row", "text", Value),
        ],
        life: Life::For(HEARTBEATS_KEPT),
        is_series: false,
        comment: "the live nodes; the write timestamp is the row's counter",
    },
];

/// How long rows of a table are kept, in seconds; 0 means without end, or that there is no such
/// table.
pub(super) fn seconds_kept(table: &str, retention: Option<Duration>) -> i32 {
    let known = TABLES.iter().find(|known| known.name == table);
    known.map_or(0, |known| known.life.seconds(retention))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_outlives_its_messages() {
        let retention = Some(Duration::from_hours(24));
        assert_eq!(seconds_kept("messages", retention), 86_400);
        assert_eq!(seconds_kept("windows", retention), 3 * 86_400);
        assert_eq!(seconds_kept("windows", None), 0);
        assert_eq!(seconds_kept("sends", None), 86_400);
    }
}
