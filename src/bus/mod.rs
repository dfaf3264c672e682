//! The bus: carries publishes from node to node.
//!
//! A [`Bus`] is a list of shards that can be connected to. It promises little. A publish reaches
//! the connections that are subscribed when it arrives, at most once, in the order of each
//! connection. Everything else is the same on every backend, and belongs to the callers: to
//! reconnect, to subscribe again, to detect what was missed.

#[cfg(test)]
pub(crate) mod conformance;
mod envelope;
mod envelope_mac;
mod memory;
mod redis;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::layout::ShardIndex;
use crate::redis::{Channel, ServerInfo};

pub use envelope::{BootId, ENVELOPE_VERSION, Envelope, EnvelopeError, EnvelopeKind, StoreTag};
pub use envelope_mac::EnvelopeMac;
pub use memory::MemoryBus;
pub use redis::{RedisBus, RedisShard};

/// A future of the bus.
pub type PendingReply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the bus did not carry out a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The shard cannot be reached, or refuses.
    #[error("{0}")]
    Unreachable(String),
    /// The connection is gone.
    #[error("the connection is gone")]
    Closed,
    /// The connection was closed so that its primary's address is resolved again.
    #[error("closed, to resolve the primary's address again")]
    LookAgain,
    /// The server answered with an error.
    #[error("refused: {0}")]
    Refused(String),
}

/// Where pushes go. It is called on the connection's own task and must not block. Calls follow the
/// order of the connection. So there is none after [`Subscription::closed`] resolved and the caller
/// saw it.
pub trait PushSink: Send + Sync {
    /// One push.
    fn push(&self, shard: ShardIndex, channel: &[u8], payload: Bytes);
}

/// One publish.
#[derive(Debug, Clone)]
pub struct OutboundPublish {
    /// The channel.
    pub channel: Channel,
    /// The bytes.
    pub payload: Bytes,
}

/// A list of shards.
pub trait Bus: Send + Sync + fmt::Debug {
    /// Connects to a shard to subscribe, once: no attempt is repeated.
    fn subscriber(
        &self,
        shard: ShardIndex,
        sink: Arc<dyn PushSink>,
    ) -> PendingReply<'_, Result<Arc<dyn Subscription>, BusError>>;

    /// Connects to a shard to publish, once: no attempt is repeated.
    fn publisher(
        &self,
        shard: ShardIndex,
    ) -> PendingReply<'_, Result<Arc<dyn Publisher>, BusError>>;
}

/// A connection that subscribes.
pub trait Subscription: Send + Sync {
    /// What the server reported of itself when the connection was made.
    fn server(&self) -> &ServerInfo;

    /// Subscribes to these channels. When it resolves to `Ok`, everything published from then on is
    /// pushed. Commands take effect in the order in which their futures are first polled.
    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> PendingReply<'a, Result<(), BusError>>;

    /// Unsubscribes from these channels.
    fn unsubscribe<'a>(&'a self, channels: &'a [Channel])
    -> PendingReply<'a, Result<(), BusError>>;

    /// Resolves once the connection is gone.
    fn closed(&self) -> PendingReply<'_, ()>;
}

/// A connection that publishes.
pub trait Publisher: Send + Sync {
    /// What the server reported of itself when the connection was made.
    fn server(&self) -> &ServerInfo;

    /// Publishes a batch in order. Each publish has its own answer: the number of connections that
    /// it was pushed to. If the connection is lost, a part of the batch may have been published.
    fn publish<'a>(
        &'a self,
        batch: &'a [OutboundPublish],
    ) -> PendingReply<'a, Result<Vec<Result<u64, BusError>>, BusError>>;

    /// Resolves once the connection is gone.
    fn closed(&self) -> PendingReply<'_, ()>;
}
