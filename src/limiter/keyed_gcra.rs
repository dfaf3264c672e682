//! One limit per key, in memory. It counts what happened as well as what was let in.

use std::cell::RefCell;
use std::hash::Hash;
use std::time::Duration;

use super::gcra::Check;
use super::tat_cache::TatCache;
use super::{Rate, RateLimit, RateLimited};

/// The longest wait that a caller is given where the debt is longer. The debt may be forgotten
/// meanwhile, and no caller should stay away for longer because of one node's count.
const TOLD_MAX: Duration = Duration::from_mins(1);

/// How much of one limit each key has used up. A charge after the fact may go beyond the limit.
/// That is a debt, which later calls wait for.
#[derive(Debug)]
pub(super) struct KeyedGcra<K> {
    policy: RateLimit,
    rate: Rate,
    debt_micros: u64,
    cache: RefCell<TatCache<K>>,
}

impl<K: Clone + Eq + Hash + Ord> KeyedGcra<K> {
    /// Remembers `remembered` keys. `debt` bounds the time of a debt.
    pub(super) fn new(policy: RateLimit, debt: Duration, remembered: usize) -> Self {
        let debt_micros = debt.as_micros() as u64;
        let cache = RefCell::new(TatCache::new(remembered));
        Self { policy, rate: policy.rate(), debt_micros, cache }
    }

    /// Checks whether a cost would be let in. A cost of 0 is, unless there is a debt. `now` is in
    /// microseconds of a monotonic clock, here and below.
    pub(super) fn check(&self, key: &K, now: u64, cost: u32) -> Result<(), RateLimited> {
        match self.rate.check(self.cache.borrow().get(key), now, cost) {
            Check::Fits { .. } => Ok(()),
            Check::Over { retry } => {
                let told = retry.min(TOLD_MAX.as_micros() as u64);
                Err(RateLimited::after_micros(self.policy, told))
            }
            Check::Never => Err(RateLimited::never(self.policy)),
        }
    }

    /// Charges what happened, even beyond the limit.
    pub(super) fn charge(&self, key: &K, now: u64, cost: u32) {
        let mut cache = self.cache.borrow_mut();
        let tat = self.rate.charged(cache.get(key), now, cost, self.debt_micros);
        cache.put(key, tat, now);
    }
}

#[cfg(test)]
mod tests;
