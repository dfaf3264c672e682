//! The statements, all prepared when the store is opened.
//!
//! Every column is named, every part of a partition key is bound, and nothing null ever is. All
//! carry a timestamp of their own and may be repeated, so all are marked idempotent.

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::connect::Profiles;
use super::error::CqlOpenError;
use super::options::CqlOptions;
use super::schema::seconds_kept;

/// A statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum StatementKind {
    Message,
    Window,
    Activity,
    Direct,
    MembershipAdded,
    MembershipRemoved,
    MembershipJoined,
    MembershipRole,
    Unlist,
    MemberAdded,
    MemberRemoved,
    MemberJoined,
    MemberRole,
    Head,
    Room,
    ReadMark,
    Nonce,
    HeartbeatRow,
    MessagesBelow,
    MessagesAbove,
    WindowsBelow,
    WindowsAbove,
    ActivityOf,
    DirectsOf,
    MembershipOf,
    MembershipsOf,
    MemberOf,
    MembersOf,
    HeadOf,
    RoomOf,
    ReadMarkOf,
    NonceOf,
    HeartbeatRows,
    Time,
}

/// A table's name in braces is replaced by that table's TTL in seconds (0 means without end). Each
/// write states its TTL, because the table's default may have been altered while this node runs.
const TEXTS: [(StatementKind, &str, &str); StatementKind::COUNT] = [
    (
        StatementKind::Message,
        "write_message",
        "INSERT INTO {k}.messages (conversation, window, id, sender, nonce, body) \
         VALUES (?, ?, ?, ?, ?, ?) USING TTL {messages} AND TIMESTAMP ?",
    ),
    (
        StatementKind::Window,
        "write_window",
        "INSERT INTO {k}.windows (conversation, window) VALUES (?, ?) \
         USING TTL {windows} AND TIMESTAMP ?",
    ),
    (
        StatementKind::Activity,
        "write_activity",
        "INSERT INTO {k}.activity (user, day, conversation, last_id) VALUES (?, ?, ?, ?) \
         USING TIMESTAMP ?",
    ),
    (
        StatementKind::Direct,
        "write_direct",
        "INSERT INTO {k}.memberships (user, conversation, kind) VALUES (?, ?, ?) \
         USING TIMESTAMP ?",
    ),
    (
        StatementKind::MembershipAdded,
        "write_membership_added",
        "INSERT INTO {k}.memberships (user, conversation, added) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MembershipRemoved,
        "write_membership_removed",
        "INSERT INTO {k}.memberships (user, conversation, removed) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MembershipJoined,
        "write_membership_joined",
        "INSERT INTO {k}.memberships (user, conversation, joined) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MembershipRole,
        "write_membership_role",
        "INSERT INTO {k}.memberships (user, conversation, role) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::Unlist,
        "write_unlist",
        "DELETE FROM {k}.memberships USING TIMESTAMP ? WHERE user = ? AND conversation = ?",
    ),
    (
        StatementKind::MemberAdded,
        "write_member_added",
        "INSERT INTO {k}.members (room, user, added) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MemberRemoved,
        "write_member_removed",
        "INSERT INTO {k}.members (room, user, removed) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MemberJoined,
        "write_member_joined",
        "INSERT INTO {k}.members (room, user, joined) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::MemberRole,
        "write_member_role",
        "INSERT INTO {k}.members (room, user, role) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::Head,
        "write_head",
        "INSERT INTO {k}.heads (room, last_id) VALUES (?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::Room,
        "write_room",
        "INSERT INTO {k}.rooms (id, room) VALUES (?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::ReadMark,
        "write_read_mark",
        "INSERT INTO {k}.reads (user, conversation, read_id) VALUES (?, ?, ?) USING TIMESTAMP ?",
    ),
    (
        StatementKind::Nonce,
        "write_nonce",
        "INSERT INTO {k}.sends (sender, nonce, record) VALUES (?, ?, ?) \
         USING TTL {sends} AND TIMESTAMP ?",
    ),
    (
        StatementKind::HeartbeatRow,
        "write_heartbeat",
        "INSERT INTO {k}.heartbeats (namespace, incarnation, row) VALUES (?, ?, ?) \
         USING TTL {heartbeats} AND TIMESTAMP ?",
    ),
    (
        StatementKind::MessagesBelow,
        "read_messages_below",
        "SELECT id, sender, nonce, body FROM {k}.messages \
         WHERE conversation = ? AND window = ? AND id < ? ORDER BY id DESC LIMIT ?",
    ),
    (
        StatementKind::MessagesAbove,
        "read_messages_above",
        "SELECT id, sender, nonce, body FROM {k}.messages \
         WHERE conversation = ? AND window = ? AND id > ? ORDER BY id ASC LIMIT ?",
    ),
    (
        StatementKind::WindowsBelow,
        "read_windows_below",
        "SELECT window FROM {k}.windows WHERE conversation = ? AND window <= ? \
         ORDER BY window DESC LIMIT ?",
    ),
    (
        StatementKind::WindowsAbove,
        "read_windows_above",
        "SELECT window FROM {k}.windows WHERE conversation = ? AND window >= ? \
         ORDER BY window ASC LIMIT ?",
    ),
    (
        StatementKind::ActivityOf,
        "read_activity",
        "SELECT conversation, last_id FROM {k}.activity WHERE user = ? AND day = ? LIMIT ?",
    ),
    (
        StatementKind::DirectsOf,
        "read_directs",
        "SELECT conversation FROM {k}.memberships \
         WHERE user = ? AND conversation > ? AND conversation < ? LIMIT ?",
    ),
    (
        StatementKind::MembershipOf,
        "read_membership",
        "SELECT added, removed, joined, role, kind FROM {k}.memberships \
         WHERE user = ? AND conversation = ?",
    ),
    (
        StatementKind::MembershipsOf,
        "read_memberships",
        "SELECT conversation, added, removed, joined, role FROM {k}.memberships \
         WHERE user = ? AND conversation >= ? AND conversation < ? LIMIT ?",
    ),
    (
        StatementKind::MemberOf,
        "read_member",
        "SELECT added, removed, joined, role FROM {k}.members WHERE room = ? AND user = ?",
    ),
    (
        StatementKind::MembersOf,
        "read_members",
        "SELECT user, added, removed, joined, role FROM {k}.members WHERE room = ? AND user > ? LIMIT ?",
    ),
    (StatementKind::HeadOf, "read_head", "SELECT last_id FROM {k}.heads WHERE room = ?"),
    (StatementKind::RoomOf, "read_room", "SELECT room FROM {k}.rooms WHERE id = ?"),
    (
        StatementKind::ReadMarkOf,
        "read_read_mark",
        "SELECT read_id FROM {k}.reads WHERE user = ? AND conversation = ?",
    ),
    (
        StatementKind::NonceOf,
        "read_nonce",
        "SELECT record FROM {k}.sends WHERE sender = ? AND nonce = ?",
    ),
    (
        StatementKind::HeartbeatRows,
        "read_heartbeats",
        "SELECT incarnation, row FROM {k}.heartbeats WHERE namespace = ? LIMIT ?",
    ),
    // Each node has its own such table, so that the coordinator answers at once.
    (
        StatementKind::Time,
        "read_time",
        "SELECT toUnixTimestamp(now()) FROM system.local WHERE key = 'local'",
    ),
];

impl StatementKind {
    pub(super) const COUNT: usize = Self::Time as usize + 1;

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        TEXTS.iter().map(|(kind, _, _)| *kind)
    }

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        TEXTS[self as usize].1
    }

    const fn is_write(self) -> bool {
        (self as usize) <= Self::HeartbeatRow as usize
    }

    fn text(self, options: &CqlOptions) -> String {
        let text = TEXTS[self as usize].2.replace("{k}", &options.cql.keyspace);
        ["messages", "windows", "sends", "heartbeats"].iter().fold(text, |text, table| {
            let kept = seconds_kept(table, options.cql.retention);
            text.replace(&format!("{{{table}}}"), &kept.to_string())
        })
    }
}

/// The prepared statements.
#[derive(Debug)]
pub(super) struct Statements(Vec<PreparedStatement>);

impl Statements {
    pub(super) async fn prepare(
        session: &Session,
        options: &CqlOptions,
        profiles: &Profiles,
    ) -> Result<Self, CqlOpenError> {
        let mut prepared = Vec::with_capacity(StatementKind::COUNT);
        for kind in StatementKind::all() {
            let text = kind.text(options);
            let statement = session.prepare(text.as_str()).await;
            let mut statement = statement.map_err(|error| CqlOpenError::Statement {
                keyspace: options.cql.keyspace.clone(),
                statement: text,
                reason: error.to_string(),
            })?;
            let profile = match kind {
                StatementKind::Time => &profiles.time,
                kind if kind.is_write() => &profiles.write,
                _ => &profiles.read,
            };
            statement.set_execution_profile_handle(Some(profile.clone()));
            // Asking for the time again gives another answer.
            statement.set_is_idempotent(kind != StatementKind::Time);
            prepared.push(statement);
        }
        Ok(Self(prepared))
    }

    pub(super) fn of(&self, kind: StatementKind) -> &PreparedStatement {
        &self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cql::tests::options;

    #[test]
    fn every_statement_stands_in_its_place() {
        for (place, kind) in StatementKind::all().enumerate() {
            assert_eq!(kind as usize, place, "{}", kind.name());
            assert_eq!(kind.is_write(), kind.name().starts_with("write_"));
            let text = kind.text(&options("ks"));
            assert!(!text.contains(['{', '*']), "{text}");
            assert_eq!(kind.is_write(), text.contains("TIMESTAMP ?"), "{text}");
        }
    }
}
