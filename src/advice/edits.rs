//! A change of layout as edits of the configuration: one for each of its three rolls.

use std::fmt::Write;

use crate::layout::BucketCounts;

/// A layout as a configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutTable {
    /// Its name.
    pub name: String,
    /// The bucket counts.
    pub buckets: BucketCounts,
    /// The shards' names, and their items of the configuration as TOML, in order.
    pub shards: Vec<(String, String)>,
}

/// Returns `[layouts]` and `[routing]` for each roll: subscribe to both, publish by the new one, drop
/// the old one. They replace those tables of every node's file.
pub fn layout_edits(old: &LayoutTable, new: &LayoutTable) -> [String; 3] {
    let edit = |tables: &[&LayoutTable], publish: &LayoutTable| {
        let mut text: String = tables.iter().map(|table| layout_table(table)).collect();
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let _infallible =
            write!(text, "[routing]\npublish = {:?}\nsubscribe = {names:?}\n", publish.name);
        text
    };
    [edit(&[old, new], old), edit(&[old, new], new), edit(&[new], new)]
}

/// Returns the table of one layout.
pub fn layout_table(table: &LayoutTable) -> String {
    let BucketCounts { user, room, topic } = table.buckets;
    let shards: Vec<&str> = table.shards.iter().map(|(_, item)| item.as_str()).collect();
    format!(
        "[layouts.{}]\nbuckets = {{ user = {user}, room = {room}, topic = {topic} }}\nredis = [{}]\n",
        table.name,
        shards.join(", "),
    )
}
