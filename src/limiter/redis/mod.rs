//! The backend that all nodes share: a script on the shard of the user's own bucket.

mod answer;
mod batcher;
mod script;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use batcher::{Ask, ScriptBatcher};

use super::keyed_permits::KeyedPermits;
use super::{LimitDecision, LimitedCall, Limiter, LimiterError, PendingDecision};
use crate::domain::{RoutingKey, UserId};
use crate::layout::Layouts;
use crate::redis::{ConnectOptions, Keys, Pool, ShardAddress};

/// One user may fill this part of a queue: a quarter.
const USER_PART: usize = 4;

/// What the backend is made from.
#[derive(Debug, Clone)]
pub struct RedisLimiterOptions {
    /// Where to find the shard of a user.
    pub layouts: Arc<Layouts>,
    /// How keys are named.
    pub keys: Keys,
    /// The addresses of the shards, in the order of [`Layouts::shards`].
    pub addresses: Vec<ShardAddress>,
    /// How connections are made.
    pub connect: ConnectOptions,
    /// How long a call waits for its decision.
    pub answer: Duration,
    /// Calls that may wait for one shard.
    pub waiting: usize,
}

/// Counts in Redis. Calls that come while a pipeline is under way go together in the next one.
#[derive(Debug)]
pub struct RedisLimiter {
    layouts: Arc<Layouts>,
    keys: Keys,
    lanes: Vec<mpsc::Sender<Ask>>,
    waiting: usize,
    /// Keeps one user from filling a queue: all calls of a user go to one shard.
    quota: Arc<KeyedPermits<UserId>>,
    answer: Duration,
}

impl RedisLimiter {
    /// Starts one task per shard on the current runtime. They end with the value. A task connects
    /// at its first call.
    pub fn start(plan: RedisLimiterOptions) -> Self {
        let mut lanes = Vec::with_capacity(plan.addresses.len());
        for address in plan.addresses {
            let (sender, asks) = mpsc::channel(plan.waiting);
            let pool = Pool::new(address, &plan.connect, plan.answer);
            tokio::spawn(ScriptBatcher { pool, asks }.run());
            lanes.push(sender);
        }
        let RedisLimiterOptions { layouts, keys, answer, waiting, .. } = plan;
        let quota = quota_in_queue(waiting);
        Self { layouts, keys, lanes, waiting, quota, answer }
    }

    fn ask(&self, call: LimitedCall) -> Result<oneshot::Receiver<Answered>, LimiterError> {
        let shard = self.layouts.route(&RoutingKey::user(&call.user)).shard.0 as usize;
        let lane = self.lanes.get(shard).ok_or(LimiterError::Unavailable)?;
        let name = |policy| self.keys.limit(&self.layouts, policy, &call.user);
        let keys = call.charges.iter().map(|charge| name(charge.policy.name)).collect();
        let full = || LimiterError::Full(self.quota.max());
        let permit = self.quota.take(&call.user).ok_or_else(full)?;
        let (reply, answered) = oneshot::channel();
        match lane.try_send(Ask { call, keys, reply, _permit: permit }) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => Err(LimiterError::Full(self.waiting)),
            Err(TrySendError::Closed(_)) => Err(LimiterError::Unavailable),
        }
    }
}

/// Bounds how much of a queue for `bound` calls one user may fill.
fn quota_in_queue(bound: usize) -> Arc<KeyedPermits<UserId>> {
    KeyedPermits::new((bound / USER_PART).max(1))
}

type Answered = Result<LimitDecision, LimiterError>;

impl Limiter for RedisLimiter {
    fn check(&self, call: LimitedCall) -> PendingDecision<Answered> {
        let (asked, bound) = (self.ask(call), self.answer);
        Box::pin(async move {
            match tokio::time::timeout(bound, asked?).await {
                Ok(Ok(answered)) => answered,
                Ok(Err(_)) | Err(_) => Err(LimiterError::Unavailable),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_holds_a_part_of_a_queue_and_gives_it_back() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let quota = quota_in_queue(16);
        let mut held: Vec<_> = (0..4).map(|_| quota.take(&user("many")).unwrap()).collect();
        assert!(quota.take(&user("many")).is_none());
        assert_eq!(quota.max(), 4);
        let other = quota.take(&user("other")).unwrap();
        held.pop();
        held.push(quota.take(&user("many")).unwrap());
        drop((held, other));
        assert_eq!(quota.keys(), 0);
        assert!(quota_in_queue(1).take(&user("a")).is_some());
    }
}
