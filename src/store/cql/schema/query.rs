//! Queries about the schema.

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;

use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;

/// Runs a query about the schema.
pub(super) async fn ask<R>(
    session: &Session,
    options: &CqlOptions,
    text: &str,
) -> Result<Vec<R>, CqlOpenError>
where
    R: for<'f> DeserializeRow<'f, 'f> + 'static,
{
    let failed = |error: &dyn std::fmt::Display| statement_failed(options, text, error);
    let answer = session.query_unpaged(text, ()).await.map_err(|error| failed(&error))?;
    let rows = answer.into_rows_result().map_err(|error| failed(&error))?;
    let rows = rows.rows::<R>().map_err(|error| failed(&error))?;
    rows.collect::<Result<_, _>>().map_err(|error| failed(&error))
}

/// The error of a failed statement; its first line names it.
pub(super) fn statement_failed(
    options: &CqlOptions,
    text: &str,
    error: &dyn std::fmt::Display,
) -> CqlOpenError {
    CqlOpenError::Statement {
        keyspace: options.cql.keyspace.clone(),
        statement: text.lines().next().unwrap_or_default().to_owned(),
        reason: error.to_string(),
    }
}
