//! The inputs of a node.

use std::sync::Arc;

use crate::auth::{Verifier, token_keys};
use crate::bus::Bus;
use crate::clock::MachineClock;
use crate::config::{Config, LayoutConfig};
use crate::layout::{Layout, Layouts};
use crate::store::Store;

/// The shard of a layout without Redis: the memory of this process.
const MEMORY_SHARD: &str = "memory";

/// The inputs of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The configuration.
    pub config: Arc<Config>,
    /// The bus that carries publishes.
    pub bus: Arc<dyn Bus>,
    /// Where messages live.
    pub store: Arc<dyn Store>,
    /// The machine's wall clock.
    pub machine: MachineClock,
}

impl NodeOptions {
    pub(super) fn layouts(&self) -> Layouts {
        layouts(&self.config)
    }

    pub(super) fn verifier(&self) -> Verifier {
        let auth = &self.config.auth;
        Verifier::new(&token_keys(auth), auth.rules.clone())
    }
}

/// Returns the layouts that a configuration publishes and subscribes by.
pub(super) fn layouts(config: &Config) -> Layouts {
    Layouts::new(layout(config.published()), config.subscribed().map(layout))
}

fn layout(config: &LayoutConfig) -> Layout {
    let mut shards: Vec<String> = config.shards.iter().map(|shard| shard.name.clone()).collect();
    if shards.is_empty() {
        shards.push(MEMORY_SHARD.to_owned());
    }
    Layout::new(config.buckets, shards)
}
