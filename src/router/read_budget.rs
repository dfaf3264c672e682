//! Reads of the store that all users share: so many a second, by user in turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fair_queue::{FairQueue, QueueBounds, QueueFull, QueuePlace};
use super::pacer::Pace;
use crate::domain::UserId;

/// Reads that may wait for one worker. A session waits for one at a time, and so does a room that a
/// user joined: more than the connections of a node by default. At the default rate they are two
/// minutes; who comes behind them had better come back later, or elsewhere. Each is about 200 bytes.
const WAITING_MAX: usize = 128 * 1024;

/// The same of one user: far more devices than anybody has, or rooms that a user is added to at once.
/// 64 such users leave nothing to others, who are refused then, and are never delayed.
const USER_WAITING_MAX: usize = 2048;

/// The budget. A turn is charged when it is granted; who leaves before pays nothing.
#[derive(Debug)]
pub struct ReadBudget {
    queue: RefCell<FairQueue<oneshot::Sender<()>>>,
    pace: Cell<Pace>,
    /// Whether a task grants turns to those who wait.
    is_granting: Cell<bool>,
}

/// The right to one read. It goes to another if it is not spent.
#[derive(Debug)]
#[must_use]
pub(super) struct ReadPermit {
    budget: Rc<ReadBudget>,
    is_spent: bool,
}

/// A place among those who wait. Dropping it gives it up, or the turn that it was granted.
struct Waiter<'a> {
    budget: &'a Rc<ReadBudget>,
    place: QueuePlace,
    granted: oneshot::Receiver<()>,
    is_over: bool,
}

impl ReadBudget {
    /// At most `per_second` in the long run.
    pub fn new(per_second: f64) -> Rc<Self> {
        let bounds = QueueBounds { all: WAITING_MAX, user: USER_WAITING_MAX };
        Self::bounded(per_second, bounds)
    }

    /// The same, where so many may wait.
    pub(super) fn bounded(per_second: f64, bounds: QueueBounds) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::new(FairQueue::new(bounds)),
            pace: Cell::new(Pace::new(per_second)),
            is_granting: Cell::default(),
        })
    }

    /// Waits for the turn of one read for a user.
    pub(super) async fn turn(self: &Rc<Self>, user: &UserId) -> Result<ReadPermit, QueueFull> {
        let (grant, granted) = oneshot::channel();
        let place = self.queue.borrow_mut().push(user, grant)?;
        let mut waiter = Waiter { budget: self, place, granted, is_over: false };
        self.serve();
        // A place is kept until it is granted, so that nothing but a turn ends the wait.
        let _granted = (&mut waiter.granted).await;
        waiter.is_over = true;
        Ok(ReadPermit { budget: Rc::clone(self), is_spent: false })
    }

    /// Grants what may begin now, and has a task grant the rest.
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

    /// Grants all turns that may begin by now: when the next one may, if anybody waits for it.
    fn grant(&self) -> Option<Instant> {
        let (mut queue, now) = (self.queue.borrow_mut(), Instant::now());
        while queue.len() > 0 {
            let mut pace = self.pace.get();
            if pace.next() > now {
                return Some(pace.next());
            }
            // Who is gone has given the place up, so this finds somebody.
            if queue.pop().is_some_and(|waiting| waiting.send(()).is_ok()) {
                pace.charge(now);
                self.pace.set(pace);
            }
        }
        None
    }

    /// A turn that was granted is not taken. If anybody waits for one, the task that grants them runs.
    fn refund(&self) {
        let mut pace = self.pace.get();
        pace.refund();
        self.pace.set(pace);
        let _next = self.grant();
    }
}

impl ReadPermit {
    /// The read begins.
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
        if !self.is_over && !self.budget.queue.borrow_mut().remove(&self.place) {
            self.budget.refund();
        }
    }
}

#[cfg(test)]
mod tests;
