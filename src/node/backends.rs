//! The composition root: the one place that names concrete backends.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::descriptors::{descriptor_limit, store_files};
use super::plan::layouts;
use crate::bus::{Bus, MemoryBus, RedisBus, RedisShard, StoreTag};
use crate::clock::{Readable, WallClock};
use crate::config::{Config, StoreBackend};
use crate::layout::Layouts;
use crate::limiter::{RedisLimiter, RedisLimiterOptions};
use crate::redis::{Channels, Keys, RightsTrial, ShardAddress};
use crate::store::{
    Cql, CqlOpenError, CqlOptions, Embedded, EmbeddedOptions, Inventory, OpenError, RetaggedStore,
    SchemaChange, ServerKind, Store, check_embedded, retag_cql, retag_embedded, salvage_embedded,
};
use crate::worker::{LimitOptions, StartLimiter};

/// Why a backend cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The embedded store does not open.
    #[error("store: {0}")]
    Embedded(#[from] OpenError),
    /// The CQL store does not open.
    #[error("store: {0}")]
    Cql(#[from] CqlOpenError),
}

/// Opens the store of a configuration; `path` is the directory of the embedded one. It blocks, for
/// at most some seconds if servers are asked.
pub fn open_store(config: &Config, path: &Path) -> Result<Arc<dyn Store>, BackendError> {
    match config.store.backend {
        StoreBackend::Embedded => {
            let options = EmbeddedOptions {
                path: path.to_owned(),
                namespace: config.node.namespace.clone(),
                bounds: config.store.embedded,
                open_files: store_files(descriptor_limit().unwrap_or(usize::MAX)),
            };
            Ok(Embedded::open(&options, WallClock::system())?)
        }
        StoreBackend::Cql => Ok(Cql::open_blocking(&cql_options(config))?),
    }
}

fn cql_options(config: &Config) -> CqlOptions {
    CqlOptions {
        namespace: config.node.namespace.clone(),
        cql: config.store.cql.clone(),
        waits: config.timeouts.cql,
    }
}

/// Checks the embedded store of a configuration, without changing it.
pub fn check_store(config: &Config) -> Result<Inventory, BackendError> {
    Ok(check_embedded(&config.store.path)?)
}

/// Copies what can be read of the embedded store of a configuration into a new directory.
pub fn salvage_store(config: &Config, to: &Path) -> Result<Inventory, BackendError> {
    Ok(salvage_embedded(&config.store.path, to)?)
}

/// Gives the store of a configuration, which no node uses, a new identity.
pub async fn retag_store(config: &Config) -> Result<RetaggedStore, BackendError> {
    Ok(match config.store.backend {
        StoreBackend::Embedded => retag_embedded(&config.store.path)?,
        StoreBackend::Cql => retag_cql(&cql_options(config)).await?,
    })
}

/// Returns the schema of the CQL store as text, for a kind of server.
pub fn print_schema(config: &Config, kind: ServerKind) -> String {
    crate::store::print_schema(&cql_options(config), kind)
}

/// Makes the schema of the CQL store where it is missing.
pub async fn apply_schema(config: &Config) -> Result<SchemaChange, BackendError> {
    Ok(crate::store::apply_schema(&cql_options(config)).await?)
}

/// Returns all differences between the CQL store and its schema.
pub async fn check_schema(config: &Config) -> Result<Vec<String>, BackendError> {
    Ok(crate::store::check_schema(&cql_options(config)).await?)
}

/// Drops the keyspace of the CQL store with all that is in it.
pub async fn drop_keyspace(config: &Config) -> Result<(), BackendError> {
    Ok(crate::store::drop_keyspace(&cql_options(config)).await?)
}

/// Between two checks whether a store that failed could be opened again.
const RESTART_POLL: Duration = Duration::from_millis(500);

/// Waits until a store has failed and could be opened again. Only a new process can open it,
/// because the failed one may hold threads and locks for good.
pub async fn until_worth_a_restart(store: &Arc<dyn Store>) {
    while !store.is_worth_a_restart() {
        tokio::time::sleep(RESTART_POLL).await;
    }
}

/// The time that a store has for its end, even if the nodes took all the time there was.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Closes a store, until a time at most. An engine whose flusher died would never be done, and
/// nothing acknowledged waits for it.
pub async fn close_store(store: &Arc<dyn Store>, until: Instant) {
    let bound = until.saturating_duration_since(Instant::now()).max(CLOSE_MIN);
    if tokio::time::timeout(bound, store.close()).await.is_err() {
        tracing::warn!("the store did not close within {}", Readable(bound));
    }
}

/// Returns the bus of the nodes of this process.
pub fn memory_bus(config: &Config) -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new(layouts(config).shards().len() as u32))
}

/// Returns the bus of a node that is alone in its process: on its Redis shards, or else in memory.
pub fn own_bus(config: &Config) -> Arc<dyn Bus> {
    if config.published().shards.is_empty() { memory_bus(config) } else { redis_bus(config) }
}

/// Returns the bus on the Redis shards of a node's layouts, each name once.
pub fn redis_bus(config: &Config) -> Arc<dyn Bus> {
    let shard = |name: &String| RedisShard { name: name.clone(), address: address(config, name) };
    let shards = layouts(config).shards().iter().map(shard).collect();
    let namespace = &config.node.namespace;
    let is_limited = config.rates.of_users().is_some();
    let trial = RightsTrial {
        channel: Channels::new(namespace).trial(),
        key: is_limited.then(|| Keys::new(namespace, 0).trial()),
    };
    Arc::new(RedisBus::new(shards, config.timeouts.redis.connect, trial))
}

/// Returns the limits for a node's users: counted on the shards if there are any.
pub(super) fn limits(config: &Config, layouts: &Arc<Layouts>, store: StoreTag) -> LimitOptions {
    let has_redis = !config.published().shards.is_empty();
    let options = has_redis.then(|| RedisLimiterOptions {
        layouts: Arc::clone(layouts),
        keys: Keys::new(&config.node.namespace, store.0),
        addresses: layouts.shards().iter().map(|name| address(config, name)).collect(),
        connect: config.timeouts.redis.connect,
        answer: config.timeouts.redis.limiter,
        waiting: config.rates.waiting,
    });
    let start = |options: RedisLimiterOptions| -> Arc<StartLimiter> {
        Arc::new(move || Arc::new(RedisLimiter::start(options.clone())) as _)
    };
    LimitOptions { shared: options.map(start), shares: Arc::default(), outage: Arc::default() }
}

fn address(config: &Config, shard: &str) -> ShardAddress {
    let mut shards = config.subscribed().flat_map(|layout| &layout.shards);
    let found = shards.find(|known| known.name == shard);
    found.expect("the names are those of these shards").address.clone()
}
