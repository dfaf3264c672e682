//! The schema's statements.

use std::fmt::Write;
use std::time::Duration;

use super::{Column, Part, TABLES, Table};
use crate::config::CqlConfig;
use crate::store::cql::options::CqlOptions;

/// About how many files hold the rows of a series until they expire. Each is dropped whole, so rows
/// stay for up to a thirtieth longer than their life, and a read of all rows reads thirty files.
const FILES: u64 = 30;

/// How long ended rows stay as tombstones, in seconds: three hours, as long as nodes keep writes
/// for one that is down. Nearly all rows end by expiry, which every replica applies by itself. So
/// with the usual ten days reads would only skip more tombstones.
///
/// Only rows of `memberships` are deleted, those of rooms that the user left over 35 days ago. A
/// replica that was away for longer than this may bring such a row back. It still states that the
/// user is out.
const GRACE: u32 = 10_800;

const HOUR: Duration = Duration::from_hours(1);

/// The kind of the servers: it decides how tables are compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// `ScyllaDB`.
    Scylla,
    /// Apache Cassandra.
    Cassandra,
}

/// The whole schema as CQL, for a kind of server. Identity and version are rows that only applying
/// the schema makes.
pub fn print(options: &CqlOptions, kind: ServerKind) -> String {
    let statements = std::iter::once(keyspace(options))
        .chain(TABLES.iter().map(|table| create(table, options, kind)));
    statements.map(|statement| statement + ";\n\n").collect()
}

/// The keyspace.
pub(super) fn keyspace(options: &CqlOptions) -> String {
    let CqlConfig { keyspace, datacenter, replication, .. } = &options.cql;
    let datacenter = quoted(datacenter);
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', {datacenter}: {replication}}}"
    )
}

/// The tables.
pub(super) fn tables(
    options: &CqlOptions,
    kind: ServerKind,
) -> impl Iterator<Item = (&'static str, String)> {
    TABLES.iter().map(move |table| (table.name, create(table, options, kind)))
}

/// How long each table's rows must be kept, in seconds.
pub(super) fn lives(options: &CqlOptions) -> impl Iterator<Item = (&'static str, i32)> {
    TABLES.iter().map(|table| (table.name, table.life.seconds(options.cql.retention)))
}

/// A change of a table's TTL, for rows written from then on.
pub(super) fn keep(options: &CqlOptions, kind: ServerKind, name: &str) -> Option<String> {
    let table = TABLES.iter().find(|table| table.name == name)?;
    let mut text =
        format!("ALTER TABLE {}.{name} WITH {}", options.cql.keyspace, life(table, options, kind));
    if !text.contains("compaction") {
        // The table may have been made with a strategy for rows that expire, which stays unless it
        // is replaced.
        text.push_str("\n    AND compaction = {'class': 'SizeTieredCompactionStrategy'}");
    }
    Some(text)
}

fn create(table: &Table, options: &CqlOptions, kind: ServerKind) -> String {
    let mut text =
        format!("CREATE TABLE IF NOT EXISTS {}.{} (\n", options.cql.keyspace, table.name);
    for Column(name, kind, _) in table.columns {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {name} {kind},");
    }
    let _ = write!(text, "    PRIMARY KEY (({})", names(table, Part::Partition));
    let order = table.columns.iter().filter_map(|Column(name, _, part)| match part {
        Part::Rising => Some((name, "ASC")),
        Part::Falling => Some((name, "DESC")),
        Part::Partition | Part::Value => None,
    });
    let order: Vec<_> = order.collect();
    for (name, _) in &order {
        let _ = write!(text, ", {name}");
    }
    text.push_str(")\n) WITH ");
    if !order.is_empty() {
        let order = order.iter().map(|(name, way)| format!("{name} {way}")).collect::<Vec<_>>();
        let _ = write!(text, "CLUSTERING ORDER BY ({})\n    AND ", order.join(", "));
    }
    let (comment, life) = (quoted(table.comment), life(table, options, kind));
    let _ = write!(text, "comment = {comment}\n    AND {life}");
    text
}

/// A text as a CQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn names(table: &Table, wanted: Part) -> String {
    let named = table.columns.iter().filter(|column| column.2 == wanted).map(|column| column.0);
    named.collect::<Vec<_>>().join(", ")
}

/// The TTL of a table, and the settings that follow from it.
fn life(table: &Table, options: &CqlOptions, kind: ServerKind) -> String {
    let seconds = table.life.seconds(options.cql.retention);
    let mut text = format!("default_time_to_live = {seconds}\n    AND gc_grace_seconds = {GRACE}");
    if let Some(compaction) = compaction(table, seconds, kind) {
        let _ = write!(text, "\n    AND compaction = {{{compaction}}}");
    }
    text
}

/// How files are merged. `ScyllaDB` chooses well by itself for its release; Cassandra's unified
/// strategy replaces its older default.
fn compaction(table: &Table, seconds: i32, kind: ServerKind) -> Option<String> {
    if table.is_series && seconds > 0 {
        let hours = (seconds as u64 / FILES).div_ceil(HOUR.as_secs()).max(1);
        return Some(format!(
            "'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', \
             'compaction_window_size': {hours}"
        ));
    }
    (kind == ServerKind::Cassandra).then(|| "'class': 'UnifiedCompactionStrategy'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cql::tests::{options, with};

    #[test]
    fn a_table_is_printed_for_its_server() {
        let kept = with(options("k"), |cql| cql.retention = Some(Duration::from_hours(24 * 30)));
        let messages = |options: &CqlOptions, kind| {
            tables(options, kind).find(|table| table.0 == "messages").unwrap().1
        };
        assert_eq!(
            messages(&kept, ServerKind::Scylla),
            "CREATE TABLE IF NOT EXISTS k.messages (\n    conversation text,\n    \
             window timestamp,\n    id uuid,\n    sender text,\n    nonce text,\n    body text,\n    \
             PRIMARY KEY ((conversation, window), id)\n) WITH CLUSTERING ORDER BY (id DESC)\n    \
             AND comment = 'messages; a window is a day of a direct conversation, an hour of a \
             room'\n    AND default_time_to_live = 2592000\n    AND gc_grace_seconds = 10800\n    \
             AND compaction = {'class': 'TimeWindowCompactionStrategy', \
             'compaction_window_unit': 'HOURS', 'compaction_window_size': 24}"
        );
        let ever = messages(&options("k"), ServerKind::Scylla);
        assert!(
            ever.ends_with("AND default_time_to_live = 0\n    AND gc_grace_seconds = 10800"),
            "{ever}"
        );
        // From rows that expire to rows that stay, on either server.
        let keep = |kind| keep(&options("k"), kind, "messages").unwrap();
        assert!(keep(ServerKind::Scylla).ends_with("{'class': 'SizeTieredCompactionStrategy'}"));
        assert!(keep(ServerKind::Cassandra).ends_with("{'class': 'UnifiedCompactionStrategy'}"));
        let ever = messages(&options("k"), ServerKind::Cassandra);
        assert!(
            ever.ends_with("AND compaction = {'class': 'UnifiedCompactionStrategy'}"),
            "{ever}"
        );
    }

    #[test]
    fn all_tables_are_printed_and_none_needs_what_tablets_lack() {
        for kind in [ServerKind::Scylla, ServerKind::Cassandra] {
            let text = print(&options("k"), kind);
            assert_eq!(text.matches("CREATE TABLE").count(), TABLES.len());
            assert!(text.starts_with("CREATE KEYSPACE IF NOT EXISTS k WITH replication"), "{text}");
            for lacking in [" counter,", "INDEX", "VIEW", " timeuuid"] {
                assert!(!text.contains(lacking), "{lacking}");
            }
        }
    }
}
