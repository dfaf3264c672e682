//! Bounds how much of a queue one user may fill.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::domain::UserId;

/// One user may fill this part of a queue: a quarter.
const USER_PART: usize = 4;

/// How many calls of each user wait. A user with none is not listed.
#[derive(Debug)]
pub(super) struct UserQuota {
    max: usize,
    held: Mutex<AHashMap<UserId, usize>>,
}

/// Permission to wait in the queue. Dropping it gives the permission back.
#[derive(Debug)]
pub(super) struct QueuePermit {
    quota: Arc<UserQuota>,
    user: UserId,
}

impl UserQuota {
    /// Bounds the users of a queue that holds `bound` calls.
    pub(super) fn of_queue(bound: usize) -> Arc<Self> {
        Arc::new(Self { max: (bound / USER_PART).max(1), held: Mutex::default() })
    }

    /// Takes a permit, or returns the bound that the user has reached.
    pub(super) fn acquire(self: &Arc<Self>, user: &UserId) -> Result<QueuePermit, usize> {
        let mut held = self.held.lock();
        let of_user = held.entry(user.clone()).or_default();
        if *of_user >= self.max {
            return Err(self.max);
        }
        *of_user += 1;
        Ok(QueuePermit { quota: Arc::clone(self), user: user.clone() })
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        let mut held = self.quota.held.lock();
        if let Some(of_user) = held.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                held.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_holds_a_part_of_a_queue_and_gives_it_back() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let quota = UserQuota::of_queue(16);
        let mut held: Vec<QueuePermit> =
            (0..4).map(|_| quota.acquire(&user("many")).unwrap()).collect();
        assert_eq!(quota.acquire(&user("many")).unwrap_err(), 4);
        let other = quota.acquire(&user("other")).unwrap();
        held.pop();
        held.push(quota.acquire(&user("many")).unwrap());
        drop((held, other));
        assert!(quota.held.lock().is_empty());
        assert!(UserQuota::of_queue(1).acquire(&user("a")).is_ok());
    }
}
