//! How many calls of one user are with the store at once: the others wait for those before them.

use std::cell::RefCell;
use std::sync::Arc;

use ahash::AHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::UserId;

/// The turns of a worker's users. A user of whom nothing is under way is not there.
#[derive(Debug)]
pub(super) struct UserTurns {
    at_once: usize,
    users: RefCell<AHashMap<UserId, Arc<Semaphore>>>,
}

/// A call that may go on, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct UserTurn<'a> {
    turns: &'a UserTurns,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl UserTurns {
    /// So many of each user at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, users: RefCell::default() }
    }

    /// Waits for a turn of a user, in the order of the calls; for none if one is free.
    pub(super) async fn take(&self, user: &UserId) -> UserTurn<'_> {
        let semaphore = {
            let mut users = self.users.borrow_mut();
            let of_user = || Arc::new(Semaphore::new(self.at_once));
            Arc::clone(users.entry(user.clone()).or_insert_with(of_user))
        };
        // Also where the wait is given up the user is let go of.
        let mut turn = UserTurn { turns: self, user: user.clone(), permit: None };
        turn.permit = semaphore.acquire_owned().await.ok();
        turn
    }
}

impl Drop for UserTurn<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut users = self.turns.users.borrow_mut();
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
        let turns = UserTurns::new(2);
        let (many, other) = (user("many"), user("other"));
        let (first, second) = (turns.take(&many).await, turns.take(&many).await);
        {
            let (mut third, mut fourth) = (pin!(turns.take(&many)), pin!(turns.take(&many)));
            assert!(!is_ready(third.as_mut()) && !is_ready(fourth.as_mut()));
            assert!(is_ready(pin!(turns.take(&other))), "another user has his own");
            drop(first);
            assert!(!is_ready(fourth.as_mut()), "it came later");
            assert!(is_ready(third.as_mut()));
        }
        drop(second);
        assert!(turns.users.borrow().is_empty(), "nobody is remembered");
    }
}
