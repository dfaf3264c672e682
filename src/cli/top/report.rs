//! The table and the JSON of `--once`.

use std::time::Instant;

use serde_json::{Value, json};

use super::columns::{TopColumn, trouble};
use super::name_text::harmless;
use super::table::table;
use crate::cli::CliFailure;
use crate::cli::output::print_text;
use crate::monitor::{Fleet, NodeRow, NodeTrouble};
use crate::telemetry::say_error;

/// Prints all nodes, by their sessions. Fails if none was read.
pub(super) fn print(fleet: &Fleet, now: Instant, json: bool) -> Result<(), CliFailure> {
    let mut rows = fleet.rows(now);
    rows.sort_by(|one, two| TopColumn::Sessions.order(one, two));
    for note in fleet.notes() {
        say_error(format_args!("narrowcast: warning: {}", harmless(&note)));
    }
    let lines: Vec<String> = if json {
        rows.iter().map(|row| object(row).to_string()).collect()
    } else {
        let table = table(&rows, TopColumn::Sessions, None);
        let rows = table.rows.into_iter().map(|(line, _)| line);
        [table.header].into_iter().chain(rows).chain([table.total]).collect()
    };
    print_text(&(lines.join("\n") + "\n"))?;
    let is_away = |row: &NodeRow| matches!(row.trouble, NodeTrouble::Away { .. });
    if rows.iter().all(is_away) {
        return Err(CliFailure::Failed("no node can be read".to_owned()));
    }
    Ok(())
}

/// A node for programs. What is not known is null.
fn object(row: &NodeRow) -> Value {
    let (figures, rates) = (&row.figures, &row.figures.rates);
    let status = match &row.trouble {
        NodeTrouble::None | NodeTrouble::Restarted(_) => "ready",
        NodeTrouble::Unread | NodeTrouble::Away { .. } => "away",
        NodeTrouble::SameAs(_) => "duplicate",
        NodeTrouble::NotReady { status, .. } => status,
    };
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let trouble = (row.trouble != NodeTrouble::None).then(|| trouble(&row.trouble));
    json!({
        "node": row.name,
        "url": row.url,
        "boot": known(&row.boot),
        "version": known(&row.version),
        "status": known(status),
        "trouble": trouble,
        "sessions": figures.sessions.map(|sessions| sessions as u64),
        "sends_per_s": rates.sends,
        "deliveries_per_s": rates.deliveries,
        "node_events_per_delivery": rates.node_events_per_delivery(),
        "useful_share": rates.useful_share(),
        "watermark_lag_s": figures.lag_s,
        "cpu_cores": rates.cpu,
        "resident_bytes": figures.resident_bytes.map(|bytes| bytes as u64),
    })
}
