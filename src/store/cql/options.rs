//! What an operator may choose about a CQL store.

use crate::config::{CqlConfig, CqlTimeouts};

/// A CQL store, and what it belongs to.
#[derive(Debug, Clone)]
pub struct CqlOptions {
    /// The namespace: made with the schema, and compared ever after.
    pub namespace: String,
    /// How to reach it.
    pub cql: CqlConfig,
    /// How long to wait for it.
    pub waits: CqlTimeouts,
}
