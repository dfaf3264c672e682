//! A budget of reads that users share fairly: a fixed rate, round robin over users.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fair_queue::{BudgetFull, FairQueue, QueueBounds, QueueEntryId};
use super::read_pacer::Pace;
use crate::domain::UserId;

/// Reads of one worker that may wait. A session waits for one at a time, and so does a room that a
/// user joined, so this is above `listen.connections` by default. At the default rate they take two
/// minutes: a client behind them does better to reconnect later, or to another node. Each takes 200
/// bytes.
const WAITING_MAX: usize = 128 * 1024;

/// The same for one user: more than a user's devices, or the rooms that a user is added to in one
/// request. It takes 64 users to fill the queue.
const USER_WAITING_MAX: usize = 2048;

/// The budget. A read is charged when its turn is granted; a read that is given up before costs
/// nothing.
#[derive(Debug)]
pub struct ReadBudget {
    queue: RefCell<FairQueue<oneshot::Sender<()>>>,
    pace: Cell<Pace>,
    /// Whether a task is running that grants turns to waiting reads.
    is_granting: Cell<bool>,
}

/// Permission for one read. Dropping it unspent gives the turn to another read.
#[derive(Debug)]
#[must_use]
pub(super) struct ReadPermit {
    budget: Rc<ReadBudget>,
    is_spent: bool,
}

/// A read that waits. Dropping it removes the entry, or gives a granted turn back.
struct Waiter<'a> {
    budget: &'a Rc<ReadBudget>,
    entry: QueueEntryId,
    granted: oneshot::Receiver<()>,
    is_over: bool,
}

impl ReadBudget {
    /// At most `per_second` reads per second in the long run.
    pub fn new(per_second: f64) -> Rc<Self> {
        let bounds = QueueBounds { all: WAITING_MAX, user: USER_WAITING_MAX };
        Self::bounded(per_second, bounds)
    }

    /// The same, with other bounds of the queue.
    pub(super) fn bounded(per_second: f64, bounds: QueueBounds) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::new(FairQueue::new(bounds)),
            pace: Cell::new(Pace::new(per_second)),
            is_granting: Cell::default(),
        })
    }

    /// Returns how many reads wait.
    pub fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Waits for the turn of one read for a user.
    pub(super) async fn turn(self: &Rc<Self>, user: &UserId) -> Result<ReadPermit, BudgetFull> {
        let (grant, granted) = oneshot::channel();
        let entry = self.queue.borrow_mut().push(user, grant)?;
        let mut waiter = Waiter { budget: self, entry, granted, is_over: false };
        self.serve();
        // Only `grant` takes the sender out of the queue, so the answer is always a turn.
        let _granted = (&mut waiter.granted).await;
        waiter.is_over = true;
        Ok(ReadPermit { budget: Rc::clone(self), is_spent: false })
    }

    /// Grants the turns that are due, and starts a task for the others.
    fn serve(self: &Rc<Self>) {
        if self.grant().is_some() && !self.is_granting.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).grant_all());
        }
    }

    async fn grant_all(self: Rc<Self>) {
        while let Some(next) = self.grant() {
            tokio::time::sleep_until(next).await;
        }
        self.is_granting.set(false);
    }

    /// Grants the turns that are due. Returns when the next one is due, if a read waits for it.
    fn grant(&self) -> Option<Instant> {
        let (mut queue, now) = (self.queue.borrow_mut(), Instant::now());
        while queue.len() > 0 {
            let mut pace = self.pace.get();
            if pace.next() > now {
                return Some(pace.next());
            }
            // A waiter that is gone has removed its entry, so the send succeeds.
            if queue.pop().is_some_and(|waiting| waiting.send(()).is_ok()) {
                pace.charge(now);
                self.pace.set(pace);
            }
        }
        None
    }

    /// Takes a granted turn back. If reads wait, the task that grants turns runs already.
    fn refund(&self) {
        let mut pace = self.pace.get();
        pace.refund();
        self.pace.set(pace);
        let _next = self.grant();
    }
}

impl ReadPermit {
    /// Uses the turn: the read begins.
    pub(super) fn spend(mut self) {
        self.is_spent = true;
    }
}

impl Drop for ReadPermit {
    fn drop(&mut self) {
        if !self.is_spent {
            self.budget.refund();
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if !self.is_over && !self.budget.queue.borrow_mut().remove(&self.entry) {
            self.budget.refund();
        }
    }
}

#[cfg(test)]
mod tests;
