//! The bus on Redis: sharded publish/subscribe on independent primaries.

mod publisher;
mod subscription;

use std::sync::Arc;

use ::redis::RedisError;

use super::{Bus, BusError, PendingReply, Publisher, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{ConnectError, ConnectOptions, ShardAddress};

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
}

impl RedisBus {
    /// The bus of these shards, in the order of their indices.
    pub const fn new(shards: Vec<RedisShard>, options: ConnectOptions) -> Self {
        Self { shards, options }
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
            let connected =
                subscription::connect(self.address(shard), &self.options, shard, sink).await?;
            Ok(Arc::new(connected) as Arc<dyn Subscription>)
        })
    }

    fn publisher(
        &self,
        shard: ShardIndex,
    ) -> PendingReply<'_, Result<Arc<dyn Publisher>, BusError>> {
        Box::pin(async move {
            let connected = publisher::connect(self.address(shard), &self.options).await?;
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
