//! The owner of one shard's subscriber connection: it alone orders the commands of the shard's
//! buckets.

use std::sync::Arc;

use tokio::time::Instant;

use super::answered;
use super::backoff::Backoff;
use super::event::{ShardEvent, ShardEvents};
use super::link_states::{LinkRole, LinkStates};
use super::reconnect_signal::ReconnectReceiver;
use crate::bus::{Bus, BusError, PushSink, Subscription};
use crate::cluster::ServerRun;
use crate::config::LinkTimeouts;
use crate::interest::{Interest, InterestAction, WildcardFeed};
use crate::layout::ShardIndex;
use crate::redis::{Channel, Channels};

/// The inputs of the owner.
pub struct Subscriber {
    /// Its shard.
    pub shard: ShardIndex,
    /// The shard's name.
    pub name: String,
    /// Makes the connections.
    pub bus: Arc<dyn Bus>,
    /// Where pushes go.
    pub sink: Arc<dyn PushSink>,
    /// The node's interest.
    pub interest: Arc<Interest>,
    /// Whether the node needs the channel `tap`.
    pub feed: Arc<WildcardFeed>,
    /// How channels are named.
    pub channels: Channels,
    /// Channels that are always subscribed: `all` and the node's own.
    pub always: Vec<Channel>,
    /// Where the state is recorded.
    pub health: Arc<LinkStates>,
    /// Receives the connection's events.
    pub events: ShardEvents,
    /// Signals the connection to close.
    pub reconnect_wanted: ReconnectReceiver,
    /// When the connection counts as lost, and is made again.
    pub waits: LinkTimeouts,
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").field("shard", &self.name).finish_non_exhaustive()
    }
}

impl Subscriber {
    /// Connects to the shard and serves it, again and again. It ends only by being dropped.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.waits.backoff_min, self.waits.backoff_max);
        loop {
            self.reconnect_wanted.renew();
            let error = match self.connect().await {
                Ok(subscription) => {
                    let began = Instant::now();
                    let error = self.live(&*subscription).await;
                    self.tell(ShardEvent::Lost { shard: self.shard }).await;
                    backoff.served(began.elapsed());
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
        answered(self.waits.reply, subscription.subscribe(&self.always)).await?;
        Ok(subscription)
    }

    /// Reports an event. The receiver ends after the connections do.
    async fn tell(&self, event: ShardEvent) {
        let _ending = self.events.send(event).await;
    }

    async fn live(&mut self, subscription: &dyn Subscription) -> BusError {
        let server = subscription.server();
        self.health.note(&self.name, LinkRole::Subscriber, Ok(server.clone()));
        let run = ServerRun::of(&server.run_id.to_string());
        self.tell(ShardEvent::Connected { shard: self.shard, run }).await;
        let needed = self.interest.connected(self.shard);
        let error = self.serve(subscription, needed).await;
        self.interest.disconnected(self.shard);
        self.feed.disconnected(self.shard);
        error
    }

    /// Carries out the commands of the interest and of wide patterns until the connection is gone.
    /// `needed` buckets were wanted when it came up, and they are commanded first.
    async fn serve(&mut self, subscription: &dyn Subscription, mut needed: usize) -> BusError {
        let mut next_ping = Instant::now() + self.waits.ping;
        let mut feed = self.feed.changes();
        if needed == 0 {
            self.tell(ShardEvent::Resubscribed { shard: self.shard }).await;
        }
        loop {
            if let Err(error) = self.command(subscription, &mut needed).await {
                return error;
            }
            tokio::select! {
                () = subscription.closed() => return BusError::Closed,
                () = self.reconnect_wanted.reconnect_requested() => return BusError::LookAgain,
                () = self.interest.changed(self.shard) => {}
                _changed = feed.changed() => {}
                () = tokio::time::sleep_until(next_ping) => {
                    next_ping = Instant::now() + self.waits.ping;
                    self.interest.expire(self.shard);
                    let answer = subscription.subscribe(&self.always);
                    if let Err(error) = answered(self.waits.reply, answer).await {
                        return error;
                    }
                }
            }
        }
    }

    /// Sends one command after the other, each once the one before is answered. What comes up
    /// meanwhile joins the next batch.
    async fn command(
        &self,
        subscription: &dyn Subscription,
        needed: &mut usize,
    ) -> Result<(), BusError> {
        while self.command_tap(subscription).await?
            || self.command_buckets(subscription, needed).await?
        {}
        Ok(())
    }

    /// Returns false if there is nothing to command.
    async fn command_tap(&self, subscription: &dyn Subscription) -> Result<bool, BusError> {
        let Some(action) = self.feed.next_action(self.shard) else { return Ok(false) };
        self.carry_out(subscription, action, &[self.channels.tap()]).await?;
        self.feed.answered(self.shard, action);
        Ok(true)
    }

    /// Returns false if there is nothing to command.
    async fn command_buckets(
        &self,
        subscription: &dyn Subscription,
        needed: &mut usize,
    ) -> Result<bool, BusError> {
        let Some(batch) = self.interest.next_batch(self.shard) else {
            // Buckets that were needed and no longer are get no command.
            self.count_needed(needed, usize::MAX).await;
            return Ok(false);
        };
        // Lingering ends in time even if there is always something to command.
        self.interest.expire(self.shard);
        let name = |&bucket| self.channels.bucket(bucket);
        let channels: Vec<Channel> = batch.buckets.iter().map(name).collect();
        self.carry_out(subscription, batch.action, &channels).await?;
        self.interest.answered(self.shard, &batch);
        self.count_needed(needed, batch.buckets.len()).await;
        Ok(true)
    }

    /// Counts `done` of the needed buckets as finished.
    async fn count_needed(&self, needed: &mut usize, done: usize) {
        if *needed > 0 {
            *needed = needed.saturating_sub(done);
            if *needed == 0 {
                self.tell(ShardEvent::Resubscribed { shard: self.shard }).await;
            }
        }
    }

    async fn carry_out(
        &self,
        subscription: &dyn Subscription,
        action: InterestAction,
        channels: &[Channel],
    ) -> Result<(), BusError> {
        let answer = match action {
            InterestAction::Subscribe => subscription.subscribe(channels),
            InterestAction::Unsubscribe => subscription.unsubscribe(channels),
        };
        answered(self.waits.reply, answer).await
    }
}

#[cfg(test)]
mod tests;
