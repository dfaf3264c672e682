//! The values of a document, by the paths of their keys.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Returns every value that is not a table, by the path of its key.
pub(super) fn leaves(table: &Table) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    gather(table, "", &mut found);
    found
}

fn gather(table: &Table, at: &str, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(table) => gather(table, &format!("{at}{key}."), into),
            leaf => drop(into.insert(format!("{at}{key}"), leaf.clone())),
        }
    }
}
