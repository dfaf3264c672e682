//! A fair queue: round robin over users, first in first out within a user.

use std::collections::{BTreeMap, VecDeque};

use ahash::AHashMap;

use crate::domain::UserId;

/// The most entries of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueBounds {
    /// Of all users together.
    pub(super) all: usize,
    /// Of one user.
    pub(super) user: usize,
}

/// The bound that a full queue has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BudgetFull {
    /// The bound of all users together.
    #[error("the queue is full: {0} entries of all users wait, the most allowed")]
    All(usize),
    /// The bound of one user.
    #[error("the queue is full for the user: {0} entries wait, the most allowed")]
    User(usize),
}

/// Names an entry, so that it can be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueEntryId {
    user: UserId,
    number: u64,
}

/// The entries of one user.
#[derive(Debug)]
struct UserQueue<T> {
    /// The user's key in [`FairQueue::turns`].
    turn: u64,
    waiting: VecDeque<(u64, T)>,
}

/// The queue. A user without entries who adds one is placed behind all other users.
///
/// Invariant: `users` and `turns` name exactly the users with entries.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    bounds: QueueBounds,
    users: AHashMap<UserId, UserQueue<T>>,
    turns: BTreeMap<u64, UserId>,
    len: usize,
    /// The last number given to an entry or a turn.
    number: u64,
}

impl<T> FairQueue<T> {
    pub(super) fn new(bounds: QueueBounds) -> Self {
        Self { bounds, users: AHashMap::new(), turns: BTreeMap::new(), len: 0, number: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry behind the user's others.
    pub(super) fn push(&mut self, user: &UserId, item: T) -> Result<QueueEntryId, BudgetFull> {
        let of_user = self.users.get(user).map_or(0, |queue| queue.waiting.len());
        if of_user >= self.bounds.user {
            return Err(BudgetFull::User(self.bounds.user));
        }
        if self.len >= self.bounds.all {
            return Err(BudgetFull::All(self.bounds.all));
        }
        let (number, turn) = (self.next_number(), self.next_number());
        let turns = &mut self.turns;
        let queue = self.users.entry(user.clone()).or_insert_with(|| {
            turns.insert(turn, user.clone());
            UserQueue { turn, waiting: VecDeque::new() }
        });
        queue.waiting.push_back((number, item));
        self.len += 1;
        Ok(QueueEntryId { user: user.clone(), number })
    }

    /// Takes the oldest entry of the user whose turn it is. That user's next turn comes after those
    /// of all others.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (_, user) = self.turns.pop_first()?;
        let turn = self.next_number();
        let queue = self.users.get_mut(&user)?;
        let (_, item) = queue.waiting.pop_front()?;
        self.len -= 1;
        if queue.waiting.is_empty() {
            self.users.remove(&user);
        } else {
            queue.turn = turn;
            self.turns.insert(turn, user);
        }
        Some(item)
    }

    /// Removes an entry. Returns false if it was taken before.
    pub(super) fn remove(&mut self, entry: &QueueEntryId) -> bool {
        let Some(queue) = self.users.get_mut(&entry.user) else { return false };
        // Numbers rise from front to back.
        let at = queue.waiting.binary_search_by_key(&entry.number, |(number, _)| *number);
        let Ok(at) = at else { return false };
        queue.waiting.remove(at);
        self.len -= 1;
        if queue.waiting.is_empty() {
            self.turns.remove(&queue.turn);
            self.users.remove(&entry.user);
        }
        true
    }

    const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

#[cfg(test)]
mod tests;
