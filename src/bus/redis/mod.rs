//! The bus on Redis: sharded publish/subscribe on independent primaries.

mod publisher;
mod subscription;

use std::sync::Arc;

use ::redis::RedisError;
use parking_lot::Mutex;
use subscription::RedisSubscription;

use super::{Bus, BusError, PendingReply, Publisher, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{ConnectError, ConnectOptions, RightsTrial, ServerInfo, ShardAddress};

/// One primary.
#[derive(Debug, Clone)]
pub struct RedisShard {
    /// Its name in the layouts.
    pub name: String,
    /// Its address.
    pub address: ShardAddress,
}

/// The shards of a node's layouts.
#[derive(Debug)]
pub struct RedisBus {
    shards: Vec<RedisShard>,
    options: ConnectOptions,
    trial: RightsTrial,
    /// The server that each shard was when a connection to it was last made.
    servers: Mutex<Vec<Option<ServerInfo>>>,
}

impl RedisBus {
    /// The bus of these shards, in the order of their indices. Each subscriber connection tries
    /// first whether its user may do all that is needed.
    pub fn new(shards: Vec<RedisShard>, options: ConnectOptions, trial: RightsTrial) -> Self {
        let servers = Mutex::new(vec![None; shards.len()]);
        Self { shards, options, trial, servers }
    }

    /// Logs which server a shard is, once for each.
    fn note(&self, shard: ShardIndex, server: &ServerInfo) {
        let index = shard.0 as usize;
        let before = self.servers.lock()[index].replace(server.clone());
        if before.as_ref() != Some(server) {
            tracing::info!("shard {} is {server}", self.shards[index].name);
        }
    }

    fn address(&self, shard: ShardIndex) -> &ShardAddress {
        &self.shards[shard.0 as usize].address
    }
}

impl Bus for RedisBus {
    fn subscriber(
        &self,
        shard: ShardIndex,
        sink: Arc<dyn PushSink>,
    ) -> PendingReply<'_, Result<Arc<dyn Subscription>, BusError>> {
        Box::pin(async move {
            let (address, options) = (self.address(shard), &self.options);
            let connected = RedisSubscription::connect(address, options, shard, sink).await?;
            connected.try_rights(&self.trial, options.connect).await?;
            self.note(shard, connected.server());
            Ok(Arc::new(connected) as Arc<dyn Subscription>)
        })
    }

    fn publisher(
        &self,
        shard: ShardIndex,
    ) -> PendingReply<'_, Result<Arc<dyn Publisher>, BusError>> {
        Box::pin(async move {
            let connected = publisher::connect(self.address(shard), &self.options).await?;
            self.note(shard, connected.server());
            Ok(Arc::new(connected) as Arc<dyn Publisher>)
        })
    }
}

impl From<ConnectError> for BusError {
    fn from(error: ConnectError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<RedisError> for BusError {
    fn from(error: RedisError) -> Self {
        if error.is_unrecoverable_error() { Self::Closed } else { Self::Refused(error.to_string()) }
    }
}
