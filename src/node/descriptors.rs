//! Divides the process's file descriptors among their users.

use std::collections::BTreeMap;

use crate::config::{Config, StoreBackend};
use crate::http::OPERATOR_CONNECTIONS_MAX;
use crate::limiter::ConnectionBounds;
use crate::redis::{POOL_CONNECTIONS_MAX, ShardAddress};
use crate::store::OPEN_FILES_MAX;

/// Standard streams, signals, listeners, the log, and the runtime of the process.
const PROCESS_FILES: usize = 24;

/// What an event loop has for itself, its listener included.
const LOOP_FILES: usize = 5;

/// Threads with an event loop beside the workers: the operator's and the node agent's.
const OTHER_LOOPS: usize = 2;

/// What the embedded store opens beside its cache of files: journals, the files that a flush or a
/// compaction writes and reads, the manifest.
const STORE_WORKING_FILES: usize = 32;

/// The smallest cache of files: below it each read opens its file.
const OPEN_FILES_MIN: usize = 16;

/// What the CQL store may open beyond twice its connections at the start. New ones are made before
/// failed ones are closed, and for servers that are added.
const CQL_SPARE_FILES: usize = 32;

/// Connections to a sentinel: the one that listens, and the one of a round of questions.
const SENTINEL_FILES: usize = 2;

/// The least connections of the operator's listener.
const OPERATOR_MIN: usize = 8;

/// Sockets that are being closed to make room for others.
const ENDING_MAX: usize = 64;

/// The same if there are few descriptors.
const ENDING_MIN: usize = 4;

/// Raises the process's limit as far as allowed. A soft limit of 1,024 would end a node at its
/// thousandth session.
pub fn raise_descriptors() -> std::io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX).map(drop)
}

/// Returns the process's limit.
pub fn descriptor_limit() -> std::io::Result<usize> {
    let soft = rlimit::Resource::NOFILE.get_soft()?;
    Ok(usize::try_from(soft).unwrap_or(usize::MAX))
}

/// Returns how many files the embedded store keeps open: what it wants, but at most an eighth of
/// the limit.
pub(super) fn store_files(limit: usize) -> usize {
    (limit / 8).clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)
}

/// The division of the process's descriptors. Clients that take all of theirs leave the node able
/// to store, to publish and to report its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// The process's limit.
    limit: usize,
    process: usize,
    store: usize,
    /// Connections to Redis: publishers, subscribers and the limiter's; and those to sentinels.
    redis: usize,
    /// Connections of the operator's listener.
    pub(super) operator: usize,
    /// Sockets of clients that were ended to make room.
    ending: usize,
}

impl Descriptors {
    /// Divides for a node with this configuration, in a process with this limit. `cql` counts the
    /// store's connections to servers now.
    pub(super) fn divide(limit: usize, config: &Config, cql: usize) -> Self {
        let (workers, shards) = (config.workers, redis_shards(config));
        let store = match config.store.backend {
            StoreBackend::Embedded => store_files(limit) + STORE_WORKING_FILES,
            StoreBackend::Cql => 2 * cql + CQL_SPARE_FILES,
        };
        let a_worker = 1 + POOL_CONNECTIONS_MAX as usize;
        Self {
            limit,
            process: PROCESS_FILES + LOOP_FILES * (workers + OTHER_LOOPS),
            store,
            redis: shards * (workers * a_worker + 1) + SENTINEL_FILES * sentinels(config),
            operator: (limit / 8).clamp(OPERATOR_MIN, OPERATOR_CONNECTIONS_MAX),
            ending: (limit / 16).clamp(ENDING_MIN, ENDING_MAX),
        }
    }

    fn kept(&self) -> usize {
        self.process + self.store + self.redis + self.operator + self.ending
    }

    /// Returns the bounds of the clients' connections, at least one.
    pub(super) fn clients(&self, config: &Config) -> ConnectionBounds {
        let left = self.limit.saturating_sub(self.kept());
        let connections = config.listen.connections.min(left).max(1);
        let handshakes = config.listen.handshakes.min(connections);
        ConnectionBounds { connections, handshakes, ending: self.ending }
    }

    /// Logs how the files are divided, and warns if clients get fewer than are configured.
    pub(super) fn log(&self, config: &Config) {
        let (wanted, connections) = (config.listen.connections, self.clients(config).connections);
        let Self { limit, process, store, redis, operator, ending } = *self;
        tracing::info!(
            limit,
            connections,
            process,
            store,
            redis,
            operator,
            ending,
            "this process may open a limited number of files, divided like this"
        );
        if connections < wanted {
            let kept = self.kept();
            tracing::warn!(
                "listen.connections: {wanted} do not fit, because the process may open {limit} files and keeps {kept} for other uses: at most {connections} are accepted; raise the limit of open files"
            );
        }
    }
}

/// Returns how many shards a node connects to; none without Redis.
pub(super) fn redis_shards(config: &Config) -> usize {
    shards(config).len()
}

/// Returns the sentinels of all shards, those of each shard for themselves.
fn sentinels(config: &Config) -> usize {
    shards(config).into_values().map(ShardAddress::sentinels).sum()
}

/// The shards of all layouts by their names.
fn shards(config: &Config) -> BTreeMap<&str, &ShardAddress> {
    let shards = config.subscribed().flat_map(|layout| &layout.shards);
    shards.map(|shard| (shard.name.as_str(), &shard.address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::load(Some(text), []).unwrap()
    }

    fn divided(limit: usize) -> (usize, usize) {
        let config = Config::default();
        let divided = Descriptors::divide(limit, &config, 0);
        (divided.clients(&config).connections, divided.operator)
    }

    #[test]
    fn clients_leave_what_the_node_needs() {
        assert_eq!(divided(128), (17, 16));
        assert_eq!(divided(256), (105, 32));
        assert_eq!(divided(1024), (633, 128));
        assert_eq!(divided(65_536), (65_017, 256));
        assert_eq!(divided(usize::MAX), (100_000, 256));
        assert_eq!(divided(16), (1, 8), "a node that cannot run reports why");
    }

    #[test]
    fn what_is_opened_rises_with_workers_shards_and_servers() {
        let one = Descriptors::divide(4096, &Config::default(), 0);
        let shard = |name| format!("{{ name = \"{name}\", url = \"redis://{name}\" }}");
        let shards = ["a", "b", "c"].map(shard).join(", ");
        let four = config(&format!("workers = 4\nlayouts.a.redis = [{shards}]"));
        let four = Descriptors::divide(4096, &four, 0);
        assert_eq!(four.process - one.process, 3 * LOOP_FILES);
        assert_eq!((one.redis, four.redis), (0, 3 * (4 * 5 + 1)));
        let named = "layouts.a.redis = [{ name = \"a\", sentinel = { master = \"m\", nodes = [\"x\", \"y\"] } }]";
        let named = Descriptors::divide(4096, &config(named), 0);
        assert_eq!(named.redis, 5 + 1 + 2 * 2);
        let cql = Descriptors::divide(4096, &config("store.backend = \"cql\""), 100);
        assert_eq!(cql.store, 232);
    }

    #[test]
    fn there_are_no_more_handshakes_than_connections() {
        let config = config("listen.handshakes = 1000\nlisten.connections = 300");
        let bounds = Descriptors::divide(4096, &config, 0).clients(&config);
        assert_eq!((bounds.connections, bounds.handshakes, bounds.ending), (300, 300, 64));
    }
}
