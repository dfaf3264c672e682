//! The errors of a CQL store, and what a failed write means.

use std::io;
use std::path::PathBuf;

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use super::schema::SchemaVersion;
use crate::store::{AppendError, HeartbeatError, ReadError};

/// Why a CQL store was not opened, or its schema not applied or checked.
#[derive(Debug, thiserror::Error)]
pub enum CqlOpenError {
    /// A thread could not be started.
    #[error("a thread of the store could not be started: {0}")]
    Thread(#[from] io::Error),
    /// The certificates cannot be used.
    #[error("store.tls_ca `{}`: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No node answers as a node of this cluster.
    #[error("store.nodes {nodes}: not connected: {reason}")]
    Connect {
        /// The nodes.
        nodes: String,
        /// The driver's error.
        reason: String,
    },
    /// No node is in the configured datacenter.
    #[error("store.datacenter `{configured}`: the nodes are in {found}")]
    Datacenter {
        /// The configured datacenter.
        configured: String,
        /// The datacenters of the nodes.
        found: String,
    },
    /// The tables are not those of this program.
    #[error(
        "store.keyspace `{keyspace}`: {difference}; `narrowcast schema apply --config FILE` makes \
         what is missing, `narrowcast schema check --config FILE` reports all that differs"
    )]
    Schema {
        /// The keyspace.
        keyspace: String,
        /// What is missing or different.
        difference: String,
    },
    /// The schema was made by a newer program.
    #[error(
        "store.keyspace `{keyspace}`: schema version {found}, this program knows {known}: run a \
         newer program, or use another keyspace"
    )]
    Newer {
        /// The keyspace.
        keyspace: String,
        /// The version found.
        found: SchemaVersion,
        /// The version known.
        known: SchemaVersion,
    },
    /// The store belongs to another namespace.
    #[error("namespace `{configured}`: keyspace `{keyspace}` belongs to namespace `{stored}`")]
    Namespace {
        /// The keyspace.
        keyspace: String,
        /// The namespace that the store was made for.
        stored: String,
        /// The configured namespace.
        configured: String,
    },
    /// A node works on the keyspace, and nothing else may.
    #[error("store.keyspace `{keyspace}`: node {node} lives: stop all nodes first")]
    InUse {
        /// The keyspace.
        keyspace: String,
        /// The name of the node.
        node: String,
    },
    /// A statement about the schema failed.
    #[error("store.keyspace `{keyspace}`: {statement}: {reason}")]
    Statement {
        /// The keyspace.
        keyspace: String,
        /// The statement, shortened.
        statement: String,
        /// The driver's error.
        reason: String,
    },
}

/// Why one row of a write was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriteFailure {
    /// Whether no attempt can have been applied, now or later.
    pub(super) is_certain: bool,
    pub(super) reason: String,
}

impl WriteFailure {
    /// The failure of a row of which nothing was sent.
    pub(super) fn unsent(reason: impl Into<String>) -> Self {
        Self { is_certain: true, reason: reason.into() }
    }
}

impl From<WriteFailure> for AppendError {
    fn from(failure: WriteFailure) -> Self {
        let reason = failure.reason;
        if failure.is_certain {
            Self::Unavailable { reason }
        } else {
            Self::OutcomeUnknown { reason }
        }
    }
}

impl From<WriteFailure> for HeartbeatError {
    fn from(failure: WriteFailure) -> Self {
        Self { reason: failure.reason }
    }
}

/// The result of one write from the results of its rows, without those that need not be written.
/// The write is certain to have stored nothing only if *every* row is.
pub(super) fn together(
    rows: impl IntoIterator<Item = Result<(), WriteFailure>>,
) -> Result<(), AppendError> {
    let (mut written, mut failed) = (0, None::<WriteFailure>);
    for row in rows {
        match (row, &mut failed) {
            (Ok(()), _) => written += 1,
            // The reported reason is one that the answer follows from.
            (Err(failure), Some(known)) if known.is_certain => *known = failure,
            (Err(_), Some(_)) => {}
            (Err(failure), first @ None) => *first = Some(failure),
        }
    }
    match failed {
        None => Ok(()),
        Some(failure) => {
            let is_certain = failure.is_certain && written == 0;
            Err(WriteFailure { is_certain, ..failure }.into())
        }
    }
}

/// Whether an attempt that ended so cannot have been applied. It did not leave this process, or the
/// coordinator refused it before sending it to any replica. Every other attempt is doubtful. A
/// write that timed out is applied later (measured), and a broken connection may have carried it.
pub(super) const fn was_refused(error: &RequestAttemptError) -> bool {
    match error {
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::UnableToAllocStreamId => true,
        RequestAttemptError::DbError(error, _) => matches!(
            error,
            DbError::Unavailable { .. }
                | DbError::Overloaded
                | DbError::IsBootstrapping
                | DbError::Unprepared { .. }
                | DbError::SyntaxError
                | DbError::Invalid
                | DbError::Unauthorized
                | DbError::RateLimitReached { rejected_by_coordinator: true, .. }
        ),
        _ => false,
    }
}

/// The error of a read that the driver gave up.
pub(super) fn unread(error: &ExecutionError) -> ReadError {
    ReadError::Unavailable { reason: error.to_string() }
}

/// The error of a row that cannot be read as what is written there.
pub(super) fn corrupt(
    table: &'static str,
    key: impl Into<String>,
    reason: impl ToString,
) -> ReadError {
    ReadError::Corrupt { table, key: key.into(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(is_certain: bool) -> Result<(), WriteFailure> {
        Err(WriteFailure { is_certain, reason: "r".into() })
    }

    #[test]
    fn nothing_was_written_only_if_that_is_certain_of_every_row() {
        let is_unavailable = |rows: &[Result<(), WriteFailure>]| {
            matches!(together(rows.iter().cloned()), Err(AppendError::Unavailable { .. }))
        };
        assert_eq!(together([Ok(()), Ok(())]), Ok(()));
        assert!(is_unavailable(&[failed(true)]));
        assert!(is_unavailable(&[failed(true), failed(true)]));
        assert!(!is_unavailable(&[failed(true), Ok(())]), "the other row is there");
        assert!(!is_unavailable(&[Ok(()), failed(true)]));
        assert!(!is_unavailable(&[failed(true), failed(false)]));
        assert!(!is_unavailable(&[failed(false), failed(true)]));
    }

    #[test]
    fn only_a_refusal_before_execution_is_certain() {
        let db = |error| RequestAttemptError::DbError(error, String::new());
        assert!(was_refused(&db(DbError::Overloaded)));
        assert!(was_refused(&RequestAttemptError::UnableToAllocStreamId));
        assert!(!was_refused(&db(DbError::ServerError)));
        assert!(!was_refused(&db(DbError::TruncateError)));
        assert!(!was_refused(&RequestAttemptError::NonfinishedPagingState));
    }
}
