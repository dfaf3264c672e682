//! The bus: what carries publishes from node to node.
//!
//! A [`Bus`] is a list of shards that can be connected to. It promises little: a publish reaches
//! those who are subscribed when it gets there, at most once, in order a connection. Everything
//! else (coming back, subscribing again, proving that nothing was missed) belongs to those who
//! use it, and is the same on every backend.

mod envelope;
mod memory;
mod redis;
mod seal;
#[cfg(test)]
pub(crate) mod suite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::layout::ShardIndex;
use crate::redis::{Channel, RunId};

pub use envelope::{BootId, ENVELOPE_VERSION, Envelope, EnvelopeError, Kind, StoreTag};
pub use memory::MemoryBus;
pub use redis::{RedisBus, RedisShard};
pub use seal::Seal;

/// A future of the bus.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the bus did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The shard cannot be reached, or refuses.
    #[error("{0}")]
    Unreachable(String),
    /// The connection is gone.
    #[error("the connection is gone")]
    Closed,
    /// The connection was given up so that its primary is looked up again.
    #[error("given up, to look the primary up again")]
    LookAgain,
    /// The server answered with an error.
    #[error("refused: {0}")]
    Refused(String),
}

/// Where pushes go. Called on the connection's own task, in the order of the connection, hence
/// never after [`Subscription::closed`] resolved and the caller saw it: it must not block.
pub trait Sink: Send + Sync {
    /// One push.
    fn push(&self, shard: ShardIndex, channel: &[u8], payload: Bytes);
}

/// One publish.
#[derive(Debug, Clone)]
pub struct Publish {
    /// On which channel.
    pub channel: Channel,
    /// What.
    pub payload: Bytes,
}

/// A list of shards.
pub trait Bus: Send + Sync + fmt::Debug {
    /// Connects to a shard to hear, once: no attempt is repeated.
    fn subscriber(
        &self,
        shard: ShardIndex,
        sink: Arc<dyn Sink>,
    ) -> Pending<'_, Result<Arc<dyn Subscription>, BusError>>;

    /// Connects to a shard to publish, once: no attempt is repeated.
    fn publisher(&self, shard: ShardIndex) -> Pending<'_, Result<Arc<dyn Publisher>, BusError>>;
}

/// A connection that hears.
pub trait Subscription: Send + Sync {
    /// Which start of the server this is.
    fn run_id(&self) -> &RunId;

    /// Hears these channels. When it resolves to `Ok`, everything published from then on is
    /// pushed. Commands take effect in the order in which their futures are first polled.
    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> Pending<'a, Result<(), BusError>>;

    /// Hears these channels no longer.
    fn unsubscribe<'a>(&'a self, channels: &'a [Channel]) -> Pending<'a, Result<(), BusError>>;

    /// Resolves once the connection is gone.
    fn closed(&self) -> Pending<'_, ()>;
}

/// A connection that publishes.
pub trait Publisher: Send + Sync {
    /// Which start of the server this is.
    fn run_id(&self) -> &RunId;

    /// Publishes a batch in order. Each has its own answer: how many connections it was pushed
    /// to. A batch whose connection went away may have been published in part.
    fn publish<'a>(
        &'a self,
        batch: &'a [Publish],
    ) -> Pending<'a, Result<Vec<Result<u64, BusError>>, BusError>>;

    /// Resolves once the connection is gone.
    fn closed(&self) -> Pending<'_, ()>;
}
