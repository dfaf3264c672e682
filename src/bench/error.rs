//! Why a measurement ends early.

use crate::client::ClientError;
use crate::node::ClusterError;
use crate::redis::{PoolError, RedisUrlError};

/// Why a measurement ends early.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// What the caller gave cannot be measured, or cannot be measured with.
    #[error("{0}")]
    Input(String),
    /// The nodes to measure could not be started.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    /// A server in a process of its own does not start.
    #[error("{0}")]
    Server(&'static str),
    /// A Redis does not answer.
    #[error("redis: {0}")]
    Redis(#[from] PoolError),
    /// An address that was given is none of a Redis.
    #[error("redis: {0}")]
    Address(#[from] RedisUrlError),
    /// A client failed.
    #[error("client: {0}")]
    Client(#[from] ClientError),
    /// An operation of the operating system failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A node gave an unexpected answer.
    #[error("{0}")]
    Answer(String),
}
