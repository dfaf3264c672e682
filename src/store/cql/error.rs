//! What may go wrong, and what a failed write means.

use std::io;
use std::path::PathBuf;

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use crate::store::{AppendError, ReadError, RowError};

/// Why a CQL store was not opened, or its schema not seen to.
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
    /// No node answers as one of ours.
    #[error("store.nodes {nodes}: not connected: {reason}")]
    Connect {
        /// The nodes.
        nodes: String,
        /// What the driver says.
        reason: String,
    },
    /// No node is of the datacenter that was asked for.
    #[error("store.datacenter `{configured}`: the nodes are of {found}")]
    Datacenter {
        /// What was asked for.
        configured: String,
        /// What there is.
        found: String,
    },
    /// The tables are not those that this program works on.
    #[error(
        "store.keyspace `{keyspace}`: {difference}; `narrowcast schema apply --config FILE` makes what is missing, `narrowcast schema check --config FILE` tells all that differs"
    )]
    Schema {
        /// The keyspace.
        keyspace: String,
        /// What is missing or different.
        difference: String,
    },
    /// The schema was made by a newer program.
    #[error(
        "store.keyspace `{keyspace}`: schema version {found}, this program knows {known}: run a newer one, or another keyspace"
    )]
    Newer {
        /// The keyspace.
        keyspace: String,
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// The store belongs to another namespace.
    #[error("namespace `{configured}`: keyspace `{keyspace}` belongs to namespace `{stored}`")]
    Namespace {
        /// The keyspace.
        keyspace: String,
        /// The namespace that the store was made for.
        stored: String,
        /// The namespace that was asked for.
        configured: String,
    },
    /// A statement about the schema failed.
    #[error("store.keyspace `{keyspace}`: {statement}: {reason}")]
    Statement {
        /// The keyspace.
        keyspace: String,
        /// What was asked, shortened.
        statement: String,
        /// What the driver says.
        reason: String,
    },
}

/// Why one row of a write was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether no attempt can have been applied, now or later.
    pub(super) is_certain: bool,
    pub(super) reason: String,
}

impl Failure {
    /// Nothing was sent.
    pub(super) fn unsent(reason: impl Into<String>) -> Self {
        Self { is_certain: true, reason: reason.into() }
    }
}

impl From<Failure> for AppendError {
    fn from(failure: Failure) -> Self {
        let reason = failure.reason;
        if failure.is_certain {
            Self::Unavailable { reason }
        } else {
            Self::OutcomeUnknown { reason }
        }
    }
}

impl From<Failure> for RowError {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.reason }
    }
}

/// What the rows of one write come to, those left out that need not be written. Only if it is
/// certain of *every* one that it was not written was nothing written.
pub(super) fn together(
    rows: impl IntoIterator<Item = Result<(), Failure>>,
) -> Result<(), AppendError> {
    let (mut written, mut failed) = (0, None::<Failure>);
    for row in rows {
        match (row, &mut failed) {
            (Ok(()), _) => written += 1,
            // The reason told is one that the answer follows from.
            (Err(failure), Some(known)) if known.is_certain => *known = failure,
            (Err(_), Some(_)) => {}
            (Err(failure), first @ None) => *first = Some(failure),
        }
    }
    match failed {
        None => Ok(()),
        Some(failure) => {
            let is_certain = failure.is_certain && written == 0;
            Err(Failure { is_certain, ..failure }.into())
        }
    }
}

/// Whether an attempt that ended so cannot have been applied: it did not leave this process, or the
/// coordinator refused it before it told any replica. Whatever is not known to be so is doubtful:
/// a write that timed out is applied later (measured), and a broken connection may have carried it.
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

/// A read that the driver gave up.
pub(super) fn unread(error: &ExecutionError) -> ReadError {
    ReadError::Unavailable { reason: error.to_string() }
}

/// A row that is not what is written there.
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

    fn failed(is_certain: bool) -> Result<(), Failure> {
        Err(Failure { is_certain, reason: "r".into() })
    }

    #[test]
    fn nothing_was_written_only_if_that_is_certain_of_every_row() {
        let is_unavailable = |rows: &[Result<(), Failure>]| {
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
