//! The errors of a store, one enum per operation.

/// Why a message, or another row, was not acknowledged as stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written, now or later: the same call may be repeated.
    #[error("nothing was stored: {reason}")]
    Unavailable {
        /// The cause.
        reason: String,
    },
    /// It may be stored or not, and may still appear after a restart.
    #[error("whether it was stored is unknown: {reason}")]
    OutcomeUnknown {
        /// What went wrong.
        reason: String,
    },
}

/// Why a heartbeat was not acknowledged. It may have been written or not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a heartbeat in the cluster table was not acknowledged: {reason}")]
pub struct HeartbeatError {
    /// What went wrong.
    pub reason: String,
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The queue of reads is full.
    #[error("{waiting} reads wait already, which is the bound")]
    Overloaded {
        /// The bound.
        waiting: usize,
    },
    /// The store does not answer: it is closed, or its engine failed.
    #[error("the store cannot be read: {reason}")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
    /// A row is not what was written there.
    #[error("row `{key}` of `{table}` is corrupt: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key, with bytes that do not print escaped.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}
