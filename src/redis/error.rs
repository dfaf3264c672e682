//! Why there is no connection.

use std::time::Duration;

use ::redis::RedisError;

use super::access::RedisFileError;
use super::rights::MissingRights;
use super::server::UnfitServer;
use crate::clock::Readable;
use crate::tls::TlsError;

/// Why there is no connection. No text holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answered in time.
    #[error("no answer within {}", Readable(*.0))]
    Timeout(Duration),
    /// The same of a port that should speak TLS: a plain Redis waits for the end of a line.
    #[error("no answer within {}; does the port speak TLS?", Readable(*.0))]
    SilentTls(Duration),
    /// The server or the network refused.
    #[error("{0}")]
    Refused(String),
    /// A file that the connection needs is of no use.
    #[error("{0}")]
    File(#[from] RedisFileError),
    /// The connection could not be encrypted.
    #[error("{0}")]
    Tls(String),
    /// The server cannot be a shard.
    #[error("{0}")]
    Unfit(#[from] UnfitServer),
    /// No sentinel names a primary that can be used.
    #[error("no primary of master {master:?}: {reasons}")]
    NoPrimary {
        /// The name of the master at the sentinels.
        master: String,
        /// One reason for each sentinel.
        reasons: String,
    },
    /// The user may not do all that is needed.
    #[error("{0}")]
    Rights(#[from] MissingRights),
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        if let Some(missing) = MissingRights::of(&error) {
            return missing.into();
        }
        Self::Refused(error.to_string())
    }
}
