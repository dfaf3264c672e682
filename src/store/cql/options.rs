//! What an operator may choose about a CQL store.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;

/// How to reach a CQL store, and what it belongs to. The configuration has checked the bounds.
#[derive(Debug, Clone)]
pub struct CqlOptions {
    /// Nodes to connect to first, `host` or `host:port`; they name the others.
    pub nodes: Vec<String>,
    /// The keyspace, a name that needs no quotes.
    pub keyspace: String,
    /// The datacenter whose nodes are used, and no others.
    pub datacenter: String,
    /// Replicas there: `schema apply` makes the keyspace with so many.
    pub replication: u32,
    /// The credentials; none without authentication.
    pub credentials: Option<Credentials>,
    /// The file of the certificate authorities that are trusted; none without TLS.
    pub tls_ca: Option<PathBuf>,
    /// The namespace: made with the schema, and compared ever after.
    pub namespace: String,
    /// How much at once, and how long.
    pub limits: CqlLimits,
    /// How long messages are kept; none means without end.
    pub retention: Option<Duration>,
    /// Connections per shard of a server; per node for Cassandra, which has no shards.
    pub connections: usize,
}

/// The bounds of the requests of a node.
#[derive(Debug, Clone, Copy)]
pub struct CqlLimits {
    /// Messages and other rows being written at once; more are refused.
    pub writes_in_flight: usize,
    /// Reads under way at once; more are refused.
    pub reads_in_flight: usize,
    /// The longest wait for the answer to a write.
    pub write: Duration,
    /// The longest wait for the answer to a read.
    pub read: Duration,
}

/// The credentials of a connection.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The role.
    pub username: String,
    /// Its password.
    pub password: Secret,
}
