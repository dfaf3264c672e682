//! What a node subscribes to: the buckets that its sessions need, each on its shard.
//!
//! A key has one bucket in every layout that the node subscribes by. All of them are needed
//! together, and the key is confirmed when all of them are.
//!
//! [`BucketSubscriptions`] is the pure rule. [`Interest`] shares it between the workers, which
//! acquire and release, and the one owner of each shard's connection, which orders the commands.
//! [`WildcardFeed`] does the same for the channel of wide patterns.

mod bucket_subscriptions;
mod wildcard_feed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::domain::{Class, RoutingKey};
use crate::layout::{BucketRoute, Layouts, ShardIndex};

pub use bucket_subscriptions::{
    BucketSubscriptions, InterestAction, Linger, SubscribeCommand, SubscriptionState, WaiterId,
};
pub use wildcard_feed::{OwnFeed, WildcardFeed};

/// The interest of a node.
#[derive(Debug)]
pub struct Interest {
    layouts: Arc<Layouts>,
    shards: Vec<Shard>,
    /// Buckets of the published layout that sessions here need, by class. The publish plan asks for
    /// these on every publish.
    held: [AtomicU32; Class::ALL.len()],
    began: Instant,
    batch_max: usize,
}

#[derive(Debug)]
struct Shard {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    subscriptions: BucketSubscriptions,
    waiters: AHashMap<WaiterId, oneshot::Sender<()>>,
    next_waiter: u64,
}

/// Whether the node already receives a key, or a wide pattern, or when it will.
#[derive(Debug)]
pub enum Confirmation {
    /// The node receives everything published from now on, by all layouts.
    Done,
    /// It does once all of these, one per bucket, have resolved to `Ok`. An `Err` states that no
    /// session needs the key any more.
    Awaited(SmallVec<[oneshot::Receiver<()>; 2]>),
    /// It does once this node's wildcard feed is confirmed.
    OfTap(watch::Receiver<OwnFeed>),
}

impl Confirmation {
    /// Waits at most `bound`. Returns false if the confirmation did not come.
    pub async fn within(self, bound: Duration) -> bool {
        match self {
            Self::Done => true,
            Self::Awaited(answers) => {
                matches!(tokio::time::timeout(bound, all_come(answers)).await, Ok(true))
            }
            Self::OfTap(mut own) => {
                let settled = tokio::time::timeout(bound, own.wait_for(OwnFeed::is_settled)).await;
                matches!(settled, Ok(Ok(own)) if own.is_confirmed())
            }
        }
    }
}

/// Returns whether every confirmation comes within a time limit.
pub async fn all_within(confirmations: Vec<Confirmation>, bound: Duration) -> bool {
    let until = Instant::now() + bound;
    for confirmation in confirmations {
        if !confirmation.within(until.saturating_duration_since(Instant::now())).await {
            return false;
        }
    }
    true
}

/// Whether every answer comes.
async fn all_come(answers: SmallVec<[oneshot::Receiver<()>; 2]>) -> bool {
    for answer in answers {
        if answer.await.is_err() {
            return false;
        }
    }
    true
}

impl Interest {
    /// Starts with no key needed.
    pub fn new(layouts: Arc<Layouts>, linger: Linger, batch_max: usize) -> Self {
        let shard = |_| Shard {
            state: Mutex::new(State {
                subscriptions: BucketSubscriptions::new(linger),
                waiters: AHashMap::new(),
                next_waiter: 0,
            }),
            changed: Notify::new(),
        };
        let shards = layouts.shards().iter().map(shard).collect();
        Self { layouts, shards, held: Default::default(), began: Instant::now(), batch_max }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn shard(&self, shard: ShardIndex) -> &Shard {
        &self.shards[shard.0 as usize]
    }

    /// Runs `act` on a shard's subscriptions, then notifies the owner.
    fn change<T>(
        &self,
        shard: ShardIndex,
        act: impl FnOnce(&mut BucketSubscriptions, u64) -> T,
    ) -> T {
        let now = self.now();
        let shard = self.shard(shard);
        let result = act(&mut shard.state.lock().subscriptions, now);
        shard.changed.notify_one();
        result
    }

    /// Notes that a worker's first session needs a key.
    pub fn acquire(&self, key: &RoutingKey) {
        let routes = self.layouts.interest(key);
        for route in &routes {
            let first =
                self.change(route.shard, |subscriptions, _| subscriptions.acquire(route.bucket));
            if first && *route == routes[0] {
                self.held[key.class() as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes that a worker's last session that needed a key is gone.
    pub fn release(&self, key: &RoutingKey) {
        let routes = self.layouts.interest(key);
        let jitter = rand::random();
        for route in &routes {
            let last = self.change(route.shard, |subscriptions, now| {
                subscriptions.release(route.bucket, now, jitter)
            });
            let Some(void) = last else { continue };
            if *route == routes[0] {
                self.held[key.class() as usize].fetch_sub(1, Ordering::Relaxed);
            }
            let mut state = self.shard(route.shard).state.lock();
            void.iter().for_each(|waiter| drop(state.waiters.remove(waiter)));
        }
    }

    /// Returns when the node receives an acquired key.
    pub fn confirmation(&self, key: &RoutingKey) -> Confirmation {
        let routes = self.layouts.interest(key);
        let awaited: SmallVec<_> = routes.iter().filter_map(|route| self.awaited(route)).collect();
        if awaited.is_empty() { Confirmation::Done } else { Confirmation::Awaited(awaited) }
    }

    /// Returns what resolves when a bucket is confirmed; none if it is already.
    fn awaited(&self, route: &BucketRoute) -> Option<oneshot::Receiver<()>> {
        let mut state = self.shard(route.shard).state.lock();
        let State { subscriptions, waiters, next_waiter } = &mut *state;
        let waiter = WaiterId(*next_waiter);
        let is_live = |waiter| {
            let live = waiters.get(&waiter).is_some_and(|waiter| !waiter.is_closed());
            if !live {
                waiters.remove(&waiter);
            }
            live
        };
        let (sender, answer) = oneshot::channel();
        match subscriptions.confirmation(route.bucket, waiter, is_live) {
            SubscriptionState::Confirmed => return None,
            SubscriptionState::Awaited => {
                *next_waiter += 1;
                waiters.insert(waiter, sender);
            }
            SubscriptionState::Unneeded => {}
        }
        Some(answer)
    }

    /// Whether the node already receives everything published for a key.
    pub fn is_confirmed(&self, key: &RoutingKey) -> bool {
        let routes = self.layouts.interest(key);
        routes.iter().all(|route| {
            self.shard(route.shard).state.lock().subscriptions.is_confirmed(route.bucket)
        })
    }

    /// Returns the share of a class's buckets, in the published layout, that sessions here need.
    pub fn held_share(&self, class: Class) -> f64 {
        let buckets = self.layouts.published().buckets();
        f64::from(self.held(class)) / f64::from(buckets.of(class).get())
    }

    /// Returns how many buckets of a class, in the published layout, sessions here need.
    pub fn held(&self, class: Class) -> u32 {
        self.held[class as usize].load(Ordering::Relaxed)
    }

    /// Returns how many buckets, of all layouts, are subscribed only because they linger.
    pub fn lingering(&self) -> usize {
        self.shards.iter().map(|shard| shard.state.lock().subscriptions.lingering()).sum()
    }

    /// Whether a bucket of a key is subscribed only because it lingers.
    pub fn is_lingering(&self, key: &RoutingKey) -> bool {
        let lingers = |route: &BucketRoute| {
            self.shard(route.shard).state.lock().subscriptions.is_lingering(route.bucket)
        };
        self.layouts.interest(key).iter().any(lingers)
    }

    /// Waits until there may be something to command.
    pub async fn changed(&self, shard: ShardIndex) {
        self.shard(shard).changed.notified().await;
    }

    /// Takes the next command for a shard's connection.
    pub fn next_batch(&self, shard: ShardIndex) -> Option<SubscribeCommand> {
        self.shard(shard).state.lock().subscriptions.next_batch(self.batch_max)
    }

    /// Ends the lingering whose time is over.
    pub fn expire(&self, shard: ShardIndex) {
        self.change(shard, BucketSubscriptions::expire);
    }

    /// Notes that a command was answered.
    pub fn answered(&self, shard: ShardIndex, batch: &SubscribeCommand) {
        let mut state = self.shard(shard).state.lock();
        let answered = state.subscriptions.answered(batch);
        let waiters: Vec<_> = answered.iter().filter_map(|id| state.waiters.remove(id)).collect();
        drop(state);
        for waiter in waiters {
            // A receiver that gave up waiting needs no answer.
            let _gave_up = waiter.send(());
        }
    }

    /// Notes that the shard's connection is new. Returns how many buckets must be commanded again.
    pub fn connected(&self, shard: ShardIndex) -> usize {
        self.change(shard, |subscriptions, _| subscriptions.connected())
    }

    /// Notes that the shard's connection is gone, and with it all subscriptions.
    pub fn disconnected(&self, shard: ShardIndex) {
        self.change(shard, |subscriptions, _| subscriptions.disconnected());
    }
}

#[cfg(test)]
mod tests;
