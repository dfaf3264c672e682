//! The session with its prepared statements: where requests are issued and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;

use super::attempts::Attempts;
use super::connect::{name_of, nodes_in_order, one_node};
use super::error::{WriteFailure, corrupt, unread};
use super::operation::Operation;
use super::statements::{StatementKind, Statements};
use super::time_bounds::TimeBounds;
use super::write_cache::WriteCache;
use crate::clock::COORDINATORS_MAX;
use crate::store::ReadError;
use crate::telemetry::{DurationHistogram, StoreFigures};

/// The error of a request while no node of the datacenter is connected.
const NOBODY: &str = "no node of the datacenter is connected";

/// The session with its prepared statements.
#[derive(Debug)]
pub(super) struct Executor {
    session: Session,
    statements: Statements,
    datacenter: String,
    issued: [AtomicU64; StatementKind::COUNT],
    took: [DurationHistogram; Operation::ALL.len()],
    pub(super) present: TimeBounds,
    /// What need not be written again.
    pub(super) written: WriteCache,
}

impl Executor {
    pub(super) fn new(session: Session, statements: Statements, datacenter: &str) -> Self {
        Self {
            session,
            statements,
            datacenter: datacenter.to_owned(),
            issued: [const { AtomicU64::new(0) }; StatementKind::COUNT],
            took: Default::default(),
            present: TimeBounds::default(),
            written: WriteCache::default(),
        }
    }

    /// The driver's counts, and the statements that were issued.
    pub(super) fn figures(&self) -> StoreFigures {
        let driver = self.session.get_metrics();
        StoreFigures {
            attempts: driver.get_requests_unpaged_num(),
            errors: driver.get_errors_unpaged_num(),
            retries: driver.get_retries_num(),
            timeouts: driver.get_request_timeouts(),
            connections: driver.get_total_connections(),
            // An error means that there was no request yet.
            latency_ms: driver
                .get_snapshot()
                .ok()
                .map(|seen| [seen.median, seen.percentile_95, seen.percentile_99]),
            statements: StatementKind::all().map(|kind| (kind.name(), self.issued(kind))).collect(),
            operations: Operation::ALL.map(|of| (of.name(), self.took[of as usize].clone())).into(),
        }
    }

    /// Statements of a kind that were issued: one per call, without the driver's repetitions.
    pub(super) fn issued(&self, kind: StatementKind) -> u64 {
        self.issued[kind as usize].load(Ordering::Relaxed)
    }

    /// Writes one row.
    pub(super) async fn write(
        &self,
        kind: StatementKind,
        values: impl SerializeRow,
    ) -> Result<(), WriteFailure> {
        if !self.is_connected() {
            return Err(WriteFailure::unsent(NOBODY));
        }
        self.count(kind);
        let attempts = Arc::new(Attempts::default());
        let mut statement = self.statements.of(kind).clone();
        statement.set_history_listener(attempts.clone());
        // Boxed: the driver's futures are kilobytes, and a message has up to six of them.
        let began = Instant::now();
        let written = Box::pin(self.session.execute_unpaged(&statement, values)).await;
        self.took[kind.operation() as usize].observe(began.elapsed());
        written.map(drop).map_err(|error| WriteFailure {
            is_certain: attempts.were_all_refused(),
            reason: error.to_string(),
        })
    }

    /// Reads rows; `kind` bounds how many.
    pub(super) async fn read(
        &self,
        kind: StatementKind,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ReadError> {
        if !self.is_connected() {
            return Err(ReadError::Unavailable { reason: NOBODY.to_owned() });
        }
        self.ask(kind, self.statements.of(kind), values).await
    }

    async fn ask(
        &self,
        kind: StatementKind,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ReadError> {
        self.count(kind);
        let began = Instant::now();
        let answer = Box::pin(self.session.execute_unpaged(statement, values)).await;
        self.took[kind.operation() as usize].observe(began.elapsed());
        let rows = answer.map_err(|error| unread(&error))?.into_rows_result();
        rows.map_err(|error| ReadError::Unavailable { reason: error.to_string() })
    }

    /// Reads at most one row.
    pub(super) async fn read_one<R>(
        &self,
        kind: StatementKind,
        values: impl SerializeRow,
    ) -> Result<Option<R>, ReadError>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        first(kind, &self.read(kind, values).await?)
    }

    /// The nodes of the datacenter whose clocks count, by address.
    pub(super) fn coordinators(&self) -> Vec<Arc<str>> {
        let nodes = nodes_in_order(&self.session, &self.datacenter);
        nodes.iter().take(COORDINATORS_MAX).map(|node| name_of(node)).collect()
    }

    /// Asks one node for one row.
    pub(super) async fn read_at<R>(
        &self,
        kind: StatementKind,
        node: &str,
    ) -> Result<Option<R>, ReadError>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let nodes = nodes_in_order(&self.session, &self.datacenter);
        let named = nodes.into_iter().find(|it| *name_of(it) == *node && it.is_connected());
        let Some(node) = named.map(one_node) else {
            let reason = format!("{node} is not connected");
            return Err(ReadError::Unavailable { reason });
        };
        let mut statement = self.statements.of(kind).clone();
        statement.set_load_balancing_policy(Some(node));
        first(kind, &self.ask(kind, &statement, ()).await?)
    }

    /// Whether there is a node to ask. Without this check a request with a speculative execution
    /// would wait for that before it reports that there is none.
    fn is_connected(&self) -> bool {
        let state = self.session.get_cluster_state();
        let ours = |name: &Option<String>| name.as_deref() == Some(&self.datacenter);
        state.get_nodes_info().iter().any(|node| ours(&node.datacenter) && node.is_connected())
    }

    fn count(&self, kind: StatementKind) {
        self.issued[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The first row of an answer, if there is one.
fn first<R>(kind: StatementKind, rows: &QueryRowsResult) -> Result<Option<R>, ReadError>
where
    R: for<'f> DeserializeRow<'f, 'f>,
{
    rows.maybe_first_row::<R>().map_err(|error| corrupt(kind.name(), "", error))
}

/// The rows of an answer, with the table and key for errors.
pub(super) fn rows_of<'a, R>(
    rows: &'a QueryRowsResult,
    table: &'static str,
) -> Result<impl Iterator<Item = Result<R, ReadError>> + use<'a, R>, ReadError>
where
    R: DeserializeRow<'a, 'a> + 'a,
{
    let rows = rows.rows::<R>().map_err(|error| corrupt(table, "", error))?;
    Ok(rows.map(move |row| row.map_err(|error| corrupt(table, "", error))))
}
