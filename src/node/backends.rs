//! The composition root: the one place that names concrete backends.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::layouts;
use crate::bus::{Bus, MemoryBus, RedisBus, RedisShard};
use crate::clock::WallClock;
use crate::config::{BusConfig, Config};
use crate::layout::Layouts;
use crate::limiter::RedisLimiterPlan;
use crate::redis::{ConnectOptions, Keys};
use crate::store::{Embedded, EmbeddedOptions, OpenError, Store};
use crate::worker::LimitsPlan;

/// Why a backend cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The store does not open.
    #[error("store: {0}")]
    Store(#[from] OpenError),
}

/// Opens the embedded store in a directory.
pub fn open_store(config: &Config, path: &Path) -> Result<Arc<dyn Store>, BackendError> {
    let options = EmbeddedOptions {
        path: path.to_owned(),
        namespace: config.namespace.clone(),
        write_queue: config.store.write_queue,
        batch_rows: config.store.batch_rows,
        read_queue: config.store.read_queue,
    };
    Ok(Embedded::open(&options, WallClock::system())?)
}

/// What a store has for its end even if the nodes took all the time there was.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Closes a store by a time: an engine whose flusher died would never be done, and nothing
/// acknowledged waits for it.
pub async fn close_store(store: &Arc<dyn Store>, until: Instant) {
    let bound = until.saturating_duration_since(Instant::now()).max(CLOSE_MIN);
    if tokio::time::timeout(bound, store.close()).await.is_err() {
        tracing::warn!(?bound, "the store did not close in time");
    }
}

/// The bus of the nodes of this process.
pub fn memory_bus(config: &Config) -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new(layouts(config).shards().len() as u32))
}

/// The bus on the Redis shards of a node's layouts, of which each name is one.
pub fn redis_bus(config: &Config) -> Arc<dyn Bus> {
    let shard = |name: &String| RedisShard { name: name.clone(), url: url(config, name) };
    let shards = layouts(config).shards().iter().map(shard).collect();
    Arc::new(RedisBus::new(shards, connect_options(&config.bus)))
}

/// What the calls of a node's users are held to: where there are shards, by a count on them.
pub(super) fn limits(config: &Config, layouts: &Arc<Layouts>) -> LimitsPlan {
    let has_redis = !config.published().shards.is_empty();
    let shared = has_redis.then(|| RedisLimiterPlan {
        layouts: Arc::clone(layouts),
        keys: Keys::new(&config.namespace),
        urls: layouts.shards().iter().map(|name| url(config, name)).collect(),
        connect: connect_options(&config.bus),
        answer: config.rates.answer,
        waiting: config.rates.waiting,
    });
    LimitsPlan { rates: config.rates.clone(), shared }
}

fn url(config: &Config, shard: &str) -> String {
    let mut shards = config.subscribed().flat_map(|layout| &layout.shards);
    let found = shards.find(|known| known.name == shard);
    found.expect("the names are those of these shards").url.expose().to_owned()
}

/// How connections to a Redis are made.
pub const fn connect_options(bounds: &BusConfig) -> ConnectOptions {
    ConnectOptions {
        connect: bounds.connect,
        keepalive: bounds.keepalive,
        user_timeout: bounds.user_timeout,
    }
}
