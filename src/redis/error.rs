//! Why there is no connection.

use std::time::Duration;

use ::redis::RedisError;

use super::server::MAJOR_MIN;
use crate::clock::Readable;

/// Why there is no connection. No text holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answered in time.
    #[error("no answer within {}", Readable(*.0))]
    Timeout(Duration),
    /// The server or the network refused.
    #[error("{0}")]
    Refused(String),
    /// The server is too old.
    #[error(
        "Redis {found} is too old: sharded publish/subscribe needs version {MAJOR_MIN} or later"
    )]
    TooOld {
        /// The version that it reported.
        found: String,
    },
    /// No sentinel names a primary that can be used.
    #[error("no primary of master {master:?}: {reasons}")]
    NoPrimary {
        /// The name of the master at the sentinels.
        master: String,
        /// One reason for each sentinel.
        reasons: String,
    },
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        Self::Refused(error.to_string())
    }
}
