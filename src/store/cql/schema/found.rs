//! What a keyspace holds, and how that differs from what it should.

use std::collections::BTreeMap;

use scylla::client::session::Session;

use super::{Column, Part, TABLES, Table, ddl};
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;
use crate::store::cql::schema::apply::ask;

/// The columns of a table that was found: type, kind, and place in the key.
type Columns = BTreeMap<String, (String, String, i32)>;

/// Table, column, type, kind, place in the key, order.
type Row = (String, String, String, String, i32, String);

/// What a keyspace holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    tables: BTreeMap<String, Columns>,
    lives: BTreeMap<String, i32>,
}

impl Found {
    pub(super) async fn read(
        session: &Session,
        options: &CqlOptions,
    ) -> Result<Self, CqlOpenError> {
        let mut found = Self::default();
        let of = format!("WHERE keyspace_name = '{}'", options.keyspace);
        let columns = format!(
            "SELECT table_name, column_name, type, kind, position, clustering_order \
             FROM system_schema.columns {of}"
        );
        for (table, name, cql_type, kind, place, order) in
            ask::<Row>(session, options, &columns).await?
        {
            let kind = if kind == "clustering" { format!("{kind} {order}") } else { kind };
            found.tables.entry(table).or_default().insert(name, (cql_type, kind, place));
        }
        let lives =
            format!("SELECT table_name, default_time_to_live FROM system_schema.tables {of}");
        found.lives.extend(ask::<(String, i32)>(session, options, &lives).await?);
        Ok(found)
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Tables whose rows are kept for another time than they should, and what it is.
    pub(super) fn other_lives(&self, options: &CqlOptions) -> Vec<(&'static str, i32, i32)> {
        let other = |(name, wanted): (&'static str, i32)| {
            let found = *self.lives.get(name)?;
            (found != wanted).then_some((name, found, wanted))
        };
        ddl::lives(options).filter_map(other).collect()
    }

    /// Every table and column that is missing or another one.
    pub(super) fn differences(&self) -> Vec<String> {
        TABLES.iter().flat_map(|table| self.differences_of(table)).collect()
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

/// Every table and column of a keyspace that is missing or another one.
pub(in super::super) async fn differences(
    session: &Session,
    options: &CqlOptions,
) -> Result<Vec<String>, CqlOpenError> {
    Ok(Found::read(session, options).await?.differences())
}
