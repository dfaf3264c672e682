//! The owner of one shard's subscriber connection: it alone orders the commands of the shard's
//! buckets.

use std::sync::Arc;

use tokio::time::Instant;

use super::LinkBounds;
use super::backoff::Backoff;
use super::health::{Health, LinkRole};
use crate::bus::{Bus, BusError, Sink, Subscription};
use crate::interest::{Action, Interest};
use crate::layout::ShardIndex;
use crate::redis::{Channel, Channels};

/// What the owner works with.
pub struct Subscriber {
    /// Which shard.
    pub shard: ShardIndex,
    /// Its name.
    pub name: String,
    /// What connects.
    pub bus: Arc<dyn Bus>,
    /// Where pushes go.
    pub sink: Arc<dyn Sink>,
    /// What the node needs.
    pub interest: Arc<Interest>,
    /// How channels are named.
    pub channels: Channels,
    /// Channels that are heard always: `all` and the node's own.
    pub always: Vec<Channel>,
    /// Where the state is noted.
    pub health: Arc<Health>,
    /// The bounds.
    pub bounds: LinkBounds,
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").field("shard", &self.name).finish_non_exhaustive()
    }
}

impl Subscriber {
    /// Connects and serves the shard for ever. Ends only by being dropped.
    pub async fn run(self) {
        let mut backoff = Backoff::new(self.bounds.backoff_min, self.bounds.backoff_max);
        loop {
            let error = match self.connect().await {
                Ok(subscription) => {
                    backoff.reset();
                    let run_id = subscription.run_id().clone();
                    self.health.note(&self.name, LinkRole::Subscriber, Ok(run_id));
                    self.interest.connected(self.shard);
                    let error = self.serve(&*subscription).await;
                    self.interest.disconnected(self.shard);
                    error
                }
                Err(error) => error,
            };
            self.health.note(&self.name, LinkRole::Subscriber, Err(error.to_string()));
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn connect(&self) -> Result<Arc<dyn Subscription>, BusError> {
        let subscription = self.bus.subscriber(self.shard, Arc::clone(&self.sink)).await?;
        self.bounds.answered(subscription.subscribe(&self.always)).await?;
        Ok(subscription)
    }

    /// Carries out what the interest wants until the connection is gone.
    async fn serve(&self, subscription: &dyn Subscription) -> BusError {
        let mut next_ping = Instant::now() + self.bounds.ping;
        loop {
            if let Err(error) = self.command(subscription).await {
                return error;
            }
            tokio::select! {
                () = subscription.closed() => return BusError::Closed,
                () = self.interest.changed(self.shard) => {}
                () = tokio::time::sleep_until(next_ping) => {
                    next_ping = Instant::now() + self.bounds.ping;
                    self.interest.expire(self.shard);
                    if let Err(error) = self.bounds.answered(subscription.ping()).await {
                        return error;
                    }
                }
            }
        }
    }

    /// One command after the other, each answered before the next: what comes up meanwhile joins
    /// the next batch.
    async fn command(&self, subscription: &dyn Subscription) -> Result<(), BusError> {
        while let Some(batch) = self.interest.next_batch(self.shard) {
            // The lingering ends in time even if there is always something to command.
            self.interest.expire(self.shard);
            let name = |&bucket| self.channels.bucket(bucket);
            let channels: Vec<Channel> = batch.buckets.iter().map(name).collect();
            let answer = match batch.action {
                Action::Subscribe => subscription.subscribe(&channels),
                Action::Unsubscribe => subscription.unsubscribe(&channels),
            };
            self.bounds.answered(answer).await?;
            self.interest.answered(self.shard, &batch);
        }
        Ok(())
    }
}
