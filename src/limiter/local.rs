//! The backend in memory: exact for the calls that pass here, blind to all others.

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::gcra::Check;
use super::tat_cache::TatCache;
use super::{
    CHARGES_MAX, Charge, LimitDecision, LimitedCall, Limiter, LimiterError, PendingDecision,
    RateLimit, RateLimited,
};
use crate::domain::UserId;

/// Counts in memory.
#[derive(Debug)]
pub struct Local {
    since: Instant,
    users: Mutex<TatCache<(UserId, &'static str)>>,
}

impl Local {
    /// Remembers at most so many users and policies together.
    pub fn new(remembered: usize) -> Self {
        Self { since: Instant::now(), users: Mutex::new(TatCache::new(remembered)) }
    }

    /// Checks a call against the share of one among `among` nodes.
    pub fn decide(&self, call: &LimitedCall, among: u32) -> LimitDecision {
        let now = self.since.elapsed().as_micros() as u64;
        let mut users = self.users.lock();
        let mut charged: SmallVec<[u64; CHARGES_MAX]> = SmallVec::new();
        let (mut tightest, mut longest) = (u64::MAX, None);
        for Charge { policy, cost } in &call.charges {
            let rate = policy.rate().shared(among, *cost);
            let stored = users.get(&(call.user.clone(), policy.name));
            match rate.check(rate.healed(stored, now), now, *cost) {
                Check::Fits { tat, remaining } => {
                    charged.push(tat);
                    tightest = tightest.min(remaining);
                }
                Check::Over { retry } => longest = longer(longest, (retry, *policy)),
                Check::Never => return LimitDecision::Refused(RateLimited::never(*policy)),
            }
        }
        if let Some((retry, policy)) = longest {
            return LimitDecision::Refused(RateLimited::after_micros(policy, retry));
        }
        for (Charge { policy, .. }, tat) in call.charges.iter().zip(charged) {
            users.put(&(call.user.clone(), policy.name), tat, now);
        }
        LimitDecision::Allowed { remaining: tightest }
    }
}

fn longer(known: Option<(u64, RateLimit)>, other: (u64, RateLimit)) -> Option<(u64, RateLimit)> {
    known.filter(|known| known.0 >= other.0).or(Some(other))
}

impl Limiter for Local {
    fn check(&self, call: LimitedCall) -> PendingDecision<Result<LimitDecision, LimiterError>> {
        let verdict = self.decide(&call, 1);
        Box::pin(std::future::ready(Ok(verdict)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const POLICY: RateLimit = RateLimit { name: "sends", burst: 10, per_s: 10 };

    fn allowed(local: &Local, among: u32) -> usize {
        let call = LimitedCall::one(&UserId::parse("alice").unwrap(), POLICY, 1);
        (0..100)
            .filter(|_| matches!(local.decide(&call, among), LimitDecision::Allowed { .. }))
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_among_many_has_its_share() {
        for (among, burst) in [(0, 10), (1, 10), (2, 5), (4, 2), (100, 1)] {
            let local = Local::new(8);
            assert_eq!(allowed(&local, among), burst, "among {among}");
            tokio::time::advance(Duration::from_secs(u64::from(among))).await;
            assert_eq!(allowed(&local, among), (10 * usize::from(among > 0)).min(burst), "{among}");
        }
    }
}
