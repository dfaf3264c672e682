//! A node's connections to its shards: made, watched and made again, for as long as it lives.

mod backoff;
mod breaker;
mod happening;
mod health;
mod publishers;
mod subscriber;

use std::time::Duration;

use crate::bus::BusError;

pub(crate) use backoff::Backoff;
pub use breaker::{Breaker, Fuse};
pub use happening::{HAPPENINGS_MAX, Happening, Happenings};
pub use health::{Health, LinkReport, LinkRole, LinkState};
pub use publishers::{Publishers, PublishersPlan};
pub use subscriber::Subscriber;

/// The bounds of links.
#[derive(Debug, Clone, Copy)]
pub struct LinkBounds {
    /// How long an answer may take before the connection counts as broken.
    pub reply: Duration,
    /// How often a connection that is idle is asked for what it is for: a channel is subscribed once
    /// more, or something is published that nobody hears. A server that does so is up, whatever it
    /// thinks of its snapshots, its replicas or its memory, by which it may refuse a `PING`.
    pub ping: Duration,
    /// The first wait after a failed attempt; each further one doubles it.
    pub backoff_min: Duration,
    /// The longest wait between attempts. They never end.
    pub backoff_max: Duration,
    /// Publishes that may wait for a shard, a worker.
    pub queue: usize,
    /// Sends that may be unsettled, a worker.
    pub pending: usize,
    /// Publishes in one pipeline.
    pub batch: usize,
}

impl LinkBounds {
    /// An answer that does not come in time means a connection that is not there.
    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        let late = || BusError::Unreachable(format!("no answer within {:?}", self.reply));
        tokio::time::timeout(self.reply, answer).await.map_err(|_elapsed| late())?
    }
}
