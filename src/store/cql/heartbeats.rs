//! The rows of the cluster table, as JSON that an operator can read.
//!
//! They have a version, since nodes of two programs read each other's rows during a roll-out.
//! Unknown fields are ignored, and another version is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{WriteFailure, corrupt};
use super::executor::{Executor, rows_of};
use super::reads::limit;
use super::statements::StatementKind;
use crate::cluster::{
    EnvelopeForm, Heartbeat, Incarnation, NodeInfo, NodeReport, NodeState, ServerRun, ShardRow,
    ShardTag, UnknownWindow,
};
use crate::domain::Micros;
use crate::layout::{BucketCount, BucketCounts, Layout};
use crate::store::ReadError;

const VERSION: u32 = 1;

/// Most rows that are read: one for each start and each fence of a node, within the hour that rows
/// are kept.
pub(super) const ROWS_MAX: usize = 10_000;

/// A row. Its parts are spelled in one object.
#[derive(Serialize, Deserialize)]
struct RowText {
    version: u32,
    #[serde(flatten)]
    progress: ProgressText,
    #[serde(flatten)]
    about: NodeText,
}

/// How far the incarnation is.
#[derive(Serialize, Deserialize)]
struct ProgressText {
    counter: u64,
    /// Absent in rows of older programs, which count as written just now.
    #[serde(default = "never_old")]
    written: u64,
    settled: u64,
    decided: u64,
    left: bool,
    shards: Vec<ShardText>,
    /// Absent in rows of older programs.
    #[serde(default)]
    unknown: Vec<(u64, u64)>,
}

/// Which node it is of, and how the node publishes and subscribes.
#[derive(Serialize, Deserialize)]
struct NodeText {
    node: String,
    boot: Uuid,
    started: u64,
    address: String,
    state: NodeState,
    publish: LayoutText,
    subscribe: Vec<LayoutText>,
    tap: bool,
    copies: bool,
    /// Absent in rows of programs whose envelopes have no tag: those envelopes cannot be read.
    #[serde(default)]
    envelope_version: u8,
    #[serde(default)]
    envelope_key: u32,
    /// Absent in rows of programs that report nothing.
    #[serde(default)]
    report: ReportText,
}

/// What a node reports of itself to operators. Every field may be absent.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ReportText {
    version: String,
    operator: String,
    status: String,
    reasons: Vec<String>,
    sessions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u64>,
}

const fn window((from, to): (u64, u64)) -> UnknownWindow {
    UnknownWindow { from: Micros(from), to: Micros(to) }
}

const fn never_old() -> u64 {
    u64::MAX
}

#[derive(Serialize, Deserialize)]
struct ShardText {
    shard: String,
    runs: Vec<String>,
    epoch: u64,
    gap_no: u64,
}

#[derive(Serialize, Deserialize)]
struct LayoutText {
    user: u64,
    room: u64,
    topic: u64,
    shards: Vec<String>,
}

/// Writes a row with its counter as the timestamp: the highest stays, in any order of arrival.
pub(super) async fn write(
    executor: &Executor,
    namespace: &str,
    row: &Heartbeat,
) -> Result<(), WriteFailure> {
    let incarnation = Uuid::from_u128(row.incarnation.0);
    let counter = i64::try_from(row.counter).unwrap_or(i64::MAX);
    let text = spell(row);
    executor
        .write(StatementKind::HeartbeatRow, (namespace, incarnation, text.as_str(), counter))
        .await
}

/// Reads all rows.
pub(super) async fn read(
    executor: Arc<Executor>,
    namespace: String,
) -> Result<Vec<Heartbeat>, ReadError> {
    let answer =
        executor.read(StatementKind::HeartbeatRows, (namespace.as_str(), limit(ROWS_MAX))).await?;
    if answer.rows_num() >= ROWS_MAX {
        // Leaving out a row would make its node count as dead.
        let reason = format!("the cluster table has {ROWS_MAX} rows or more");
        return Err(ReadError::Unavailable { reason });
    }
    let mut rows = Vec::with_capacity(answer.rows_num());
    for row in rows_of::<(Uuid, Option<&str>)>(&answer, "heartbeats")? {
        let (incarnation, Some(text)) = row? else { continue };
        let read = unspell(Incarnation(incarnation.as_u128()), text);
        rows.push(read.map_err(|reason| corrupt("heartbeats", incarnation.to_string(), reason))?);
    }
    Ok(rows)
}

fn spell(row: &Heartbeat) -> String {
    let (progress, about) = (ProgressText::of(row), NodeText::of(&row.about));
    let text = RowText { version: VERSION, progress, about };
    serde_json::to_string(&text).expect("texts and numbers are JSON")
}

/// Reads a row as it is stored.
pub(super) fn unspell(incarnation: Incarnation, text: &str) -> Result<Heartbeat, String> {
    let text: RowText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if text.version != VERSION {
        return Err(format!("version {}, only {VERSION} is known", text.version));
    }
    text.progress.read(incarnation, Arc::new(text.about.read()?))
}

impl ProgressText {
    fn of(row: &Heartbeat) -> Self {
        Self {
            counter: row.counter,
            written: row.written.0,
            settled: row.settled.0,
            decided: row.decided.0,
            left: row.left,
            shards: row.shards.iter().map(ShardText::of).collect(),
            unknown: row.unknown.iter().map(|window| (window.from.0, window.to.0)).collect(),
        }
    }

    fn read(self, incarnation: Incarnation, about: Arc<NodeInfo>) -> Result<Heartbeat, String> {
        Ok(Heartbeat {
            incarnation,
            counter: self.counter,
            written: Micros(self.written),
            settled: Micros(self.settled),
            decided: Micros(self.decided),
            left: self.left,
            shards: self.shards.iter().map(ShardText::read).collect::<Result<_, _>>()?,
            unknown: self.unknown.into_iter().map(window).collect(),
            about,
        })
    }
}

impl NodeText {
    fn of(about: &NodeInfo) -> Self {
        Self {
            node: about.node.clone(),
            boot: Uuid::from_bytes(about.boot),
            started: about.started.0,
            address: about.address.clone(),
            state: about.state,
            publish: LayoutText::of(&about.publish),
            subscribe: about.subscribe.iter().map(LayoutText::of).collect(),
            tap: about.tap,
            copies: about.copies,
            envelope_version: about.envelopes.version,
            envelope_key: about.envelopes.key,
            report: ReportText::of(&about.report),
        }
    }

    fn read(self) -> Result<NodeInfo, String> {
        Ok(NodeInfo {
            node: self.node,
            boot: self.boot.into_bytes(),
            started: Micros(self.started),
            address: self.address,
            state: self.state,
            publish: self.publish.read()?,
            subscribe: self.subscribe.iter().map(LayoutText::read).collect::<Result<_, _>>()?,
            tap: self.tap,
            copies: self.copies,
            envelopes: EnvelopeForm { version: self.envelope_version, key: self.envelope_key },
            report: self.report.read(),
        })
    }
}

impl ReportText {
    fn of(report: &NodeReport) -> Self {
        let NodeReport { version, operator, status, reasons, sessions, lag_ms } = report.clone();
        Self { version, operator, status, reasons, sessions, lag_ms }
    }

    /// A row may be of any program, so its texts are bounded here too.
    fn read(self) -> NodeReport {
        let Self { version, operator, status, reasons, sessions, lag_ms } = self;
        NodeReport { version, operator, status, reasons, sessions, lag_ms }.bounded()
    }
}

fn hex(tag: u64) -> String {
    format!("{tag:016x}")
}

fn unhex(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| {
        format!(
            "`{text}` is not a tag of 16 hexadecimal \
        digits"
        )
    })
}

impl ShardText {
    fn of(shard: &ShardRow) -> Self {
        Self {
            shard: hex(shard.shard.0),
            runs: shard.runs.iter().map(|run| hex(run.0)).collect(),
            epoch: shard.epoch,
            gap_no: shard.gap_no,
        }
    }

    fn read(&self) -> Result<ShardRow, String> {
        let runs =
            self.runs.iter().map(|run| unhex(run).map(ServerRun)).collect::<Result<_, _>>()?;
        let shard = ShardTag(unhex(&self.shard)?);
        Ok(ShardRow { shard, runs, epoch: self.epoch, gap_no: self.gap_no })
    }
}

impl LayoutText {
    fn of(layout: &Layout) -> Self {
        let BucketCounts { user, room, topic } = layout.buckets();
        let [user, room, topic] = [user, room, topic].map(|count| u64::from(count.get()));
        Self { user, room, topic, shards: layout.shards().to_vec() }
    }

    fn read(&self) -> Result<Layout, String> {
        let count = |count: u64| BucketCount::new(count).map_err(|error| error.to_string());
        if self.shards.is_empty() {
            return Err("a layout has no shard".to_owned());
        }
        let (user, room, topic) = (count(self.user)?, count(self.room)?, count(self.topic)?);
        Ok(Layout::new(BucketCounts { user, room, topic }, self.shards.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample::row;
    use smallvec::smallvec;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let shard = ShardRow {
            shard: ShardTag(u64::MAX),
            runs: smallvec![ServerRun(1), ServerRun(u64::MAX)],
            epoch: 3,
            gap_no: 4,
        };
        let plain = row(7, 9);
        let unknown = vec![UnknownWindow { from: Micros(3), to: Micros(9) }];
        let shards = smallvec![shard];
        let mut full = Heartbeat { left: true, shards, unknown, ..plain.clone() };
        let about = NodeInfo {
            tap: true,
            copies: true,
            state: NodeState::Draining,
            report: NodeReport {
                version: "1.2.3".into(),
                operator: "127.0.0.1:1".into(),
                status: "degraded".into(),
                reasons: vec!["store: away".into()],
                sessions: 3,
                lag_ms: Some(11_000),
            },
            ..(*plain.about).clone()
        };
        full.about = Arc::new(about);
        for row in [plain, full] {
            assert_eq!(unspell(row.incarnation, &spell(&row)), Ok(row));
        }
    }

    #[test]
    fn the_text_is_flat_in_a_known_order() {
        let text = concat!(
            r#"{"version":1,"counter":9,"written":9,"settled":9,"decided":10,"left":false,"#,
            r#""shards":[{"shard":"c082ff223c116753","runs":[],"epoch":0,"gap_no":0}],"unknown":[],"#,
            r#""node":"n1","boot":"07070707-0707-0707-0707-070707070707","started":1,"#,
            r#""address":"127.0.0.1:1","state":"serving","#,
            r#""publish":{"user":1,"room":1,"topic":1,"shards":["r1"]},"#,
            r#""subscribe":[{"user":1,"room":1,"topic":1,"shards":["r1"]}],"#,
            r#""tap":false,"copies":false,"envelope_version":0,"envelope_key":0,"#,
            r#""report":{"version":"","operator":"","status":"","reasons":[],"sessions":0}}"#,
        );
        assert_eq!(spell(&row(7, 9)), text);
        assert_eq!(unspell(Incarnation(7), text), Ok(row(7, 9)));
    }

    #[test]
    fn a_row_of_an_older_program_is_not_taken_for_old() {
        let text = spell(&row(7, 9)).replacen("\"written\":9,", "", 1);
        assert_eq!(unspell(Incarnation(7), &text).unwrap().written, Micros(u64::MAX));
    }

    #[test]
    fn a_row_without_a_report_or_with_a_part_of_one_is_read() {
        let text = spell(&row(7, 9));
        let report = &text[text.find(",\"report\"").unwrap()..text.len() - 1];
        assert_eq!(unspell(Incarnation(7), &text.replacen(report, "", 1)), Ok(row(7, 9)));
        let part = text.replacen(report, r#","report":{"sessions":5,"more":[{}]}"#, 1);
        assert_eq!(unspell(Incarnation(7), &part).unwrap().about.report.sessions, 5);
        let long = format!(",\"report\":{{\"reasons\":[\"{}\"]}}", "x".repeat(10_000));
        let read = unspell(Incarnation(7), &text.replacen(report, &long, 1)).unwrap();
        assert!(read.about.report.reasons[0].len() < 1_000, "another program's text is cut");
    }

    #[test]
    fn unknown_fields_are_passed_over_and_other_versions_refused() {
        let text = spell(&row(7, 9));
        let more = text.replacen('{', "{\"more\":[1],", 1);
        assert_eq!(unspell(Incarnation(7), &more), Ok(row(7, 9)));
        let later = text.replacen("\"version\":1", "\"version\":2", 1);
        assert_eq!(unspell(Incarnation(7), &later), Err("version 2, only 1 is known".into()));
        let odd = text.replacen("\"user\":1", "\"user\":3", 1);
        assert!(unspell(Incarnation(7), &odd).is_err());
        assert!(unspell(Incarnation(7), "{}").is_err());
    }
}
