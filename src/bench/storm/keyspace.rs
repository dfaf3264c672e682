//! A keyspace of a measurement's own on a CQL server.

use crate::bench::error::BenchError;
use crate::config::Config;
use crate::node::{apply_schema, drop_keyspace};

/// A keyspace of one measurement. It is dropped with this.
#[derive(Debug)]
pub(super) struct OwnKeyspace {
    /// The configuration of a store in it, as TOML.
    pub(super) table: String,
    config: Config,
}

impl OwnKeyspace {
    /// Makes it, with one replica, on the server at `host:port`.
    pub(super) async fn make(address: &str) -> Result<Self, BenchError> {
        let name = format!("bench_{:016x}", rand::random::<u64>());
        let table = format!(
            "[store]\nbackend = \"cql\"\nnodes = [{address:?}]\nkeyspace = \"{name}\"\n\
             replication = 1\n"
        );
        let config = Config::load(Some(&table), std::iter::empty());
        let config = config.map_err(|error| BenchError::Input(format!("--cql: {error}")))?;
        let applied = apply_schema(&config).await;
        applied.map_err(|error| BenchError::Input(format!("--cql {address}: {error}")))?;
        Ok(Self { table, config })
    }
}

impl Drop for OwnKeyspace {
    /// Drops it on a thread of its own: a measurement that a signal ends is dropped within its
    /// event loop.
    fn drop(&mut self) {
        let config = self.config.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop_keyspace(&config)).map_err(std::io::Error::other)
        });
        let keyspace = &self.config.store.cql.keyspace;
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, keyspace, "cannot drop the keyspace"),
            Err(_panic) => tracing::warn!(keyspace, "cannot drop the keyspace"),
        }
    }
}
