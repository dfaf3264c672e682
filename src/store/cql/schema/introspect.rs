//! What a keyspace holds, and how that differs from the schema.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use scylla::client::session::Session;

use super::{Column, Part, TABLES, Table, ddl};
use crate::config::CqlConfig;
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;
use crate::store::cql::schema::query::ask;

/// The columns of a table that was found: type, kind, and position in the key.
type Columns = BTreeMap<String, (String, String, i32)>;

/// Table, column, type, kind, position in the key, order.
type Row = (String, String, String, String, i32, String);

/// What a keyspace holds.
#[derive(Debug, Default)]
pub(in super::super) struct FoundSchema {
    /// None if there is no such keyspace.
    replication: Option<HashMap<String, String>>,
    tables: BTreeMap<String, Columns>,
    lives: BTreeMap<String, i32>,
}

impl FoundSchema {
    pub(in super::super) async fn read(
        session: &Session,
        options: &CqlOptions,
    ) -> Result<Self, CqlOpenError> {
        let mut found = Self::default();
        let of = format!("WHERE keyspace_name = '{}'", options.cql.keyspace);
        let columns = format!(
            "SELECT table_name, column_name, type, kind, position, clustering_order \
             FROM system_schema.columns {of}"
        );
        for (table, name, cql_type, kind, place, order) in
            ask::<Row>(session, options, &columns).await?
        {
            found
                .tables
                .entry(table)
                .or_default()
                .insert(name, column(cql_type, kind, place, &order));
        }
        let lives =
            format!("SELECT table_name, default_time_to_live FROM system_schema.tables {of}");
        found.lives.extend(ask::<(String, i32)>(session, options, &lives).await?);
        let replication = format!("SELECT replication FROM system_schema.keyspaces {of}");
        let replication = ask::<(HashMap<String, String>,)>(session, options, &replication).await?;
        found.replication = replication.into_iter().next().map(|(replication,)| replication);
        Ok(found)
    }

    pub(super) const fn is_there(&self) -> bool {
        self.replication.is_some()
    }

    /// How long messages are kept that are written without a TTL of their own; none means without
    /// end.
    pub(in super::super) fn retention(&self) -> Option<Duration> {
        let seconds = *self.lives.get("messages")?;
        u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Tables with another TTL than the options, and the two TTLs.
    pub(super) fn other_lives(&self, options: &CqlOptions) -> Vec<(&'static str, i32, i32)> {
        let other = |(name, wanted): (&'static str, i32)| {
            let found = *self.lives.get(name)?;
            (found != wanted).then_some((name, found, wanted))
        };
        ddl::lives(options).filter_map(other).collect()
    }

    /// Every table and column that is missing or different, and whether there are too few replicas.
    pub(in super::super) fn differences(&self, options: &CqlOptions) -> Vec<String> {
        let mut all: Vec<String> = self.too_few_replicas(options).into_iter().collect();
        all.extend(TABLES.iter().flat_map(|table| self.differences_of(table)));
        all
    }

    /// `sent` relies on the replicas.
    fn too_few_replicas(&self, options: &CqlOptions) -> Option<String> {
        let replication = self.replication.as_ref()?;
        let CqlConfig { datacenter, replication: wanted, .. } = &options.cql;
        let class = replication.get("class").map_or("", String::as_str);
        if !class.ends_with("NetworkTopologyStrategy") {
            return Some(format!(
                "its replication is by `{class}`, not NetworkTopologyStrategy (use ALTER KEYSPACE \
                 to change that)"
            ));
        }
        let found = replication.get(datacenter).map_or("0", String::as_str);
        // A ScyllaDB may name racks instead of a number.
        let is_less = found.parse().is_ok_and(|found: u32| found < *wanted);
        is_less.then(|| {
            format!(
                "it has {found} replicas in datacenter `{datacenter}`, but store.replication is \
                 {wanted} (use ALTER KEYSPACE to change that)"
            )
        })
    }

    fn differences_of(&self, table: &Table) -> Vec<String> {
        let Some(columns) = self.tables.get(table.name) else {
            return vec![format!("table `{}` is missing", table.name)];
        };
        let (mut differences, mut places) = (Vec::new(), [0, 0]);
        for Column(name, cql_type, part) in table.columns {
            let (kind, place) = match part {
                Part::Partition => ("partition_key", next(&mut places[0])),
                Part::Rising => ("clustering asc", next(&mut places[1])),
                Part::Falling => ("clustering desc", next(&mut places[1])),
                Part::Value => ("regular", -1),
            };
            let column = format!("column `{}.{name}`", table.name);
            differences.extend(match columns.get(*name) {
                None => Some(format!("{column} is missing")),
                Some((found, _, _)) if found != cql_type => {
                    Some(format!("{column} is of type {found}, not {cql_type}"))
                }
                Some((_, found, at)) if (found.as_str(), *at) != (kind, place) => {
                    Some(format!("{column} is {found} at {at}, not {kind} at {place}"))
                }
                Some(_) => None,
            });
        }
        differences
    }
}

fn next(place: &mut i32) -> i32 {
    *place += 1;
    *place - 1
}

/// A column as it was found: type, kind with its order, and position. `ScyllaDB` writes the order
/// in capitals, Cassandra does not.
fn column(cql_type: String, kind: String, place: i32, order: &str) -> (String, String, i32) {
    let clusters = kind == "clustering";
    let kind = if clusters { format!("{kind} {}", order.to_ascii_lowercase()) } else { kind };
    (cql_type, kind, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cql::tests::{options, with};

    /// The schema as a server reports it, which spells orders in its own way.
    fn found(ascending: &str, descending: &str) -> FoundSchema {
        let mut found = FoundSchema::default();
        for table in &TABLES {
            let mut places = [0, 0];
            for Column(name, cql_type, part) in table.columns {
                let (kind, place, order) = match part {
                    Part::Partition => ("partition_key", next(&mut places[0]), "none"),
                    Part::Rising => ("clustering", next(&mut places[1]), ascending),
                    Part::Falling => ("clustering", next(&mut places[1]), descending),
                    Part::Value => ("regular", -1, "none"),
                };
                let told = column((*cql_type).to_owned(), kind.to_owned(), place, order);
                found.tables.entry(table.name.to_owned()).or_default().insert((*name).into(), told);
            }
        }
        found
    }

    #[test]
    fn the_schema_is_known_however_a_server_spells_it() {
        let nothing = Vec::<String>::new();
        assert_eq!(found("asc", "desc").differences(&options("k")), nothing, "Cassandra");
        assert_eq!(found("ASC", "DESC").differences(&options("k")), nothing, "ScyllaDB");
        let turned = found("DESC", "ASC").differences(&options("k"));
        assert!(turned[0].starts_with("column `messages.id` is clustering asc"), "{turned:?}");
    }

    #[test]
    fn replicas_are_counted_where_they_are_asked_for() {
        let options = with(options("k"), |cql| cql.replication = 3);
        let said = |class: &str, datacenter: &str, number: &str| {
            let told = [("class", class), (datacenter, number)];
            let told = told.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let found = FoundSchema { replication: Some(told.into()), ..found("asc", "desc") };
            found.differences(&options).first().cloned().unwrap_or_default()
        };
        let class = "org.apache.cassandra.locator.NetworkTopologyStrategy";
        assert_eq!(said(class, "datacenter1", "3"), "");
        assert_eq!(said(class, "datacenter1", "5"), "");
        assert_eq!(said(class, "datacenter1", "['r1', 'r2', 'r3']"), "");
        assert!(said(class, "datacenter1", "2").starts_with("it has 2 replicas in datacenter"));
        assert!(said(class, "elsewhere", "3").starts_with("it has 0 replicas in datacenter"));
        let simple = said("SimpleStrategy", "replication_factor", "3");
        assert!(simple.starts_with("its replication is by `SimpleStrategy`"), "{simple}");
    }
}
