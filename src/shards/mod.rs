//! A node's connections to its shards. They are made, watched, and made again until the node ends.

mod backoff;
mod event;
mod health;
mod publishers;
mod reconnect_signal;
mod subscriber;

use std::time::Duration;

use crate::bus::BusError;

pub(crate) use backoff::Backoff;
pub use event::{SHARD_EVENTS_MAX, ShardEvent, ShardEvents};
pub use health::{Health, LinkState};
pub use publishers::{Publishers, PublishersOptions};
pub use reconnect_signal::ReconnectSignal;
pub use subscriber::Subscriber;

/// The bounds of shard connections.
#[derive(Debug, Clone, Copy)]
pub struct LinkBounds {
    /// How long an answer may take before the connection counts as lost.
    pub reply: Duration,
    /// How often an idle connection is tested by its own operation. A subscriber subscribes to a
    /// channel once more; a publisher publishes to a channel without subscribers. A server that
    /// does so is up. It may refuse a `PING` all the same, because of its snapshots, replicas or
    /// memory.
    pub ping: Duration,
    /// The first wait after a failed attempt; each further one doubles it.
    pub backoff_min: Duration,
    /// The longest wait between attempts. They never end.
    pub backoff_max: Duration,
    /// Publishes that may wait for a shard, per worker.
    pub queue: usize,
    /// Sends that may be unsettled, per worker.
    pub pending: usize,
    /// Publishes in one pipeline.
    pub batch: usize,
}

impl LinkBounds {
    /// What tests bound connections by.
    #[cfg(test)]
    const SMALL: Self = Self {
        reply: Duration::from_secs(3),
        ping: Duration::from_secs(5),
        backoff_min: Duration::from_millis(50),
        backoff_max: Duration::from_secs(1),
        queue: 16,
        pending: 16,
        batch: 16,
    };

    /// A connection whose answer does not come in time counts as gone.
    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        let late = || BusError::Unreachable(format!("no answer within {:?}", self.reply));
        tokio::time::timeout(self.reply, answer).await.map_err(|_elapsed| late())?
    }
}
