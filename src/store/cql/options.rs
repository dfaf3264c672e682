//! What an operator may choose about a CQL store.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;

/// How to reach a CQL store, and what it belongs to. The configuration has checked the bounds.
#[derive(Debug, Clone)]
pub struct CqlOptions {
    /// Nodes to begin with, `host` or `host:port`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace, a name that needs no quotes.
    pub keyspace: String,
    /// The datacenter whose nodes are asked, and no others.
    pub datacenter: String,
    /// Replicas there: what `schema apply` makes the keyspace with.
    pub replication: u32,
    /// Who connects; none without authentication.
    pub credentials: Option<Credentials>,
    /// The file of the certificate authorities that nodes are believed by; none without TLS.
    pub tls_ca: Option<PathBuf>,
    /// The namespace: made with the schema, and compared ever after.
    pub namespace: String,
    /// Messages and other rows being written at once; more are refused.
    pub writes_in_flight: usize,
    /// Reads under way at once; more are refused.
    pub reads_in_flight: usize,
    /// For the answer to a write.
    pub write: Duration,
    /// For the answer to a read.
    pub read: Duration,
    /// How long messages are kept; none is for ever.
    pub retention: Option<Duration>,
    /// Connections a shard, or a node of Cassandra, which has none.
    pub connections: usize,
}

/// Who connects.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The role.
    pub username: String,
    /// Its password.
    pub password: Secret,
}
