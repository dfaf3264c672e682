//! Bounds what may wait for all peers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// Bytes that wait for peers whose sockets are full, on all event loops of a node. Each outbox has
/// its own bound; this one is on their sum.
///
/// Above it, loops that hold more than their [`WorkerShare`] free some, each down to its share.
/// There always is such a loop. No loop frees what waits on another.
#[derive(Debug)]
pub struct Budget {
    bound: usize,
    used: AtomicUsize,
    loops: Box<[EventLoop]>,
    freeing: Mutex<()>,
}

/// The part of one event loop.
#[derive(Debug, Default)]
struct EventLoop {
    used: AtomicUsize,
    call: Arc<Notify>,
}

impl Budget {
    /// Allows `bound` bytes on `loops` event loops, plus what one turn of each adds.
    pub fn new(bound: usize, loops: usize) -> Self {
        let loops = (0..loops.max(1)).map(|_| EventLoop::default()).collect();
        Self { bound, used: AtomicUsize::new(0), loops, freeing: Mutex::new(()) }
    }

    /// Returns the share of one of the event loops.
    pub fn share(self: &Arc<Self>, number: usize) -> WorkerShare {
        assert!(number < self.loops.len(), "there are {} event loops", self.loops.len());
        WorkerShare { budget: Arc::clone(self), number }
    }

    /// Returns how many bytes wait.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more waits than may: some peer must be closed.
    fn is_over(&self) -> bool {
        self.used() > self.bound
    }

    /// Whether a loop holds more than its part. If all together are over, one loop is.
    fn exceeds_share(&self, event_loop: &EventLoop) -> bool {
        event_loop.used.load(Ordering::Relaxed) > self.bound / self.loops.len()
    }
}

/// One event loop's part of a [`Budget`]: the bound divided by the number of loops. It may hold
/// more while all together hold less than the bound.
#[derive(Debug)]
pub struct WorkerShare {
    budget: Arc<Budget>,
    number: usize,
}

impl WorkerShare {
    /// Makes a share that is all of a bound, for an event loop that is alone.
    pub fn alone(bound: usize) -> Self {
        Arc::new(Budget::new(bound, 1)).share(0)
    }

    fn event_loop(&self) -> &EventLoop {
        &self.budget.loops[self.number]
    }

    /// Whether some peer on this loop must be closed.
    pub fn is_over(&self) -> bool {
        self.budget.is_over() && self.budget.exceeds_share(self.event_loop())
    }

    /// Held by a loop while it checks whether it is over and frees one outbox. Two loops that
    /// checked at the same time would free twice for the same bytes.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.budget.freeing.lock()
    }

    /// Whether what may be dropped must be dropped: from half of the bound on.
    pub fn is_tight(&self) -> bool {
        self.budget.used() > self.budget.bound / 2
    }

    /// Notified when this loop must check whether it is over, even if it has nothing to write.
    pub fn call(&self) -> Arc<Notify> {
        Arc::clone(&self.event_loop().call)
    }

    /// Makes the other loops with more than their share check, if some peer must be closed.
    pub fn call_others(&self) {
        if !self.budget.is_over() {
            return;
        }
        for (number, event_loop) in self.budget.loops.iter().enumerate() {
            if number != self.number && self.budget.exceeds_share(event_loop) {
                event_loop.call.notify_one();
            }
        }
    }

    /// Charges a connection of this loop `is` bytes instead of `was`.
    pub(super) fn charge(&self, was: usize, is: usize) {
        for used in [&self.budget.used, &self.event_loop().used] {
            if is >= was {
                used.fetch_add(is - was, Ordering::Relaxed);
            } else {
                used.fetch_sub(was - is, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn shares(bound: usize, loops: usize) -> Vec<WorkerShare> {
        let budget = Arc::new(Budget::new(bound, loops));
        (0..loops).map(|number| budget.share(number)).collect()
    }

    async fn is_called(share: &WorkerShare) -> bool {
        tokio::time::timeout(Duration::ZERO, share.call().notified()).await.is_ok()
    }

    #[tokio::test]
    async fn a_loop_may_hold_all_until_another_needs_its_share() {
        let shares = shares(300, 3);
        shares[2].charge(0, 300);
        assert!(!shares[2].is_over() && shares[0].is_tight());
        shares[0].charge(0, 60);
        assert!(shares[2].is_over() && !shares[0].is_over() && !shares[1].is_over());
        shares[0].call_others();
        assert!(is_called(&shares[2]).await && !is_called(&shares[1]).await);
        shares[2].charge(300, 240);
        assert!(shares.iter().all(|share| !share.is_over()), "exactly full");
        shares[0].call_others();
        assert!(!is_called(&shares[2]).await);
    }

    proptest! {
        /// If the loops hold too much in any distribution, it ends when those above their share
        /// free down to it.
        #[test]
        fn down_to_their_shares_is_enough(
            bound in 0..1000_usize,
            held in prop::collection::vec(0..1000_usize, 1..9),
        ) {
            let shares = shares(bound, held.len());
            for (share, held) in shares.iter().zip(&held) {
                share.charge(0, *held);
            }
            let over = held.iter().sum::<usize>() > bound;
            prop_assert_eq!(shares.iter().any(WorkerShare::is_over), over);
            for (share, held) in shares.iter().zip(&held) {
                let mut left = *held;
                while share.is_over() {
                    share.charge(left, left - 1);
                    left -= 1;
                }
                prop_assert!(left >= (*held).min(bound / shares.len()), "no loop frees for others");
            }
            prop_assert!(shares[0].budget.used() <= bound);
        }
    }
}
