//! Bounds the calls of a user that run at once. Further calls of the user wait in order.

use std::cell::RefCell;
use std::sync::Arc;

use ahash::AHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::UserId;

/// A semaphore for each user with a call that runs or waits.
#[derive(Debug)]
pub(super) struct UserConcurrency {
    at_once: usize,
    users: RefCell<AHashMap<UserId, Arc<Semaphore>>>,
}

/// Permission to run. Dropping it lets the user's next call run.
#[derive(Debug)]
#[must_use]
pub struct UserPermit<'a> {
    owner: &'a UserConcurrency,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl UserConcurrency {
    /// Lets so many calls of each user run at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, users: RefCell::default() }
    }

    /// Waits for a permit, in the order of the calls.
    pub(super) async fn acquire(&self, user: &UserId) -> UserPermit<'_> {
        let semaphore = {
            let mut users = self.users.borrow_mut();
            let of_user = || Arc::new(Semaphore::new(self.at_once));
            Arc::clone(users.entry(user.clone()).or_insert_with(of_user))
        };
        // Made before the wait, so that its drop cleans up if the wait is given up.
        let mut permit = UserPermit { owner: self, user: user.clone(), permit: None };
        // A free permit is taken in this step: waiting for one may yield, and sends go at once.
        // None is free while others wait.
        permit.permit = match Arc::clone(&semaphore).try_acquire_owned() {
            Ok(free) => Some(free),
            Err(_none) => semaphore.acquire_owned().await.ok(),
        };
        permit
    }
}

impl Drop for UserPermit<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut users = self.owner.users.borrow_mut();
        if users.get(&self.user).is_some_and(|held| Arc::strong_count(held) == 1) {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use super::*;

    fn is_ready(wait: Pin<&mut impl Future>) -> bool {
        wait.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_user_waits_for_his_own_calls_alone() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let calls = UserConcurrency::new(2);
        let (many, other) = (user("many"), user("other"));
        let (first, second) = (calls.acquire(&many).await, calls.acquire(&many).await);
        {
            let (mut third, mut fourth) = (pin!(calls.acquire(&many)), pin!(calls.acquire(&many)));
            assert!(!is_ready(third.as_mut()) && !is_ready(fourth.as_mut()));
            assert!(is_ready(pin!(calls.acquire(&other))), "another user has its own permits");
            drop(first);
            assert!(!is_ready(fourth.as_mut()), "it came later");
            assert!(is_ready(third.as_mut()));
        }
        drop(second);
        assert!(calls.users.borrow().is_empty(), "no user is remembered");
    }
}
