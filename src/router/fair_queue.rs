//! Who waits for a shared budget, served by user in turn.

use std::collections::{BTreeMap, VecDeque};

use ahash::AHashMap;

use crate::domain::UserId;

/// The most that may wait in a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueBounds {
    /// Of all users together.
    pub(super) all: usize,
    /// Of one user.
    pub(super) user: usize,
}

/// Why nobody more may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueueFull {
    /// The queue has no place left for anybody.
    #[error("{0} wait already, no more may")]
    All(usize),
    /// The user holds as many places as one user may.
    #[error("{0} of the user wait already, no more may")]
    User(usize),
}

/// A place in a queue, to be given up by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueuePlace {
    user: UserId,
    number: u64,
}

/// What one user waits for.
#[derive(Debug)]
struct UserQueue<T> {
    /// Its key in [`FairQueue::turns`].
    turn: u64,
    waiting: VecDeque<(u64, T)>,
}

/// A fair queue: round robin over the users who wait, first in first out within a user. A user who
/// comes, comes behind all users who wait.
///
/// Invariant: `users` and `turns` name exactly the users of whom something waits.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    bounds: QueueBounds,
    users: AHashMap<UserId, UserQueue<T>>,
    turns: BTreeMap<u64, UserId>,
    len: usize,
    /// The next number of a place, or of a turn.
    number: u64,
}

impl<T> FairQueue<T> {
    pub(super) fn new(bounds: QueueBounds) -> Self {
        Self { bounds, users: AHashMap::new(), turns: BTreeMap::new(), len: 0, number: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts something of a user at the end of what waits of that user.
    pub(super) fn push(&mut self, user: &UserId, item: T) -> Result<QueuePlace, QueueFull> {
        let of_user = self.users.get(user).map_or(0, |queue| queue.waiting.len());
        if of_user >= self.bounds.user {
            return Err(QueueFull::User(self.bounds.user));
        }
        if self.len >= self.bounds.all {
            return Err(QueueFull::All(self.bounds.all));
        }
        let (number, turn) = (self.next_number(), self.next_number());
        let turns = &mut self.turns;
        let queue = self.users.entry(user.clone()).or_insert_with(|| {
            turns.insert(turn, user.clone());
            UserQueue { turn, waiting: VecDeque::new() }
        });
        queue.waiting.push_back((number, item));
        self.len += 1;
        Ok(QueuePlace { user: user.clone(), number })
    }

    /// Takes the first of the user whose turn it is.
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

    /// Gives a place up; false if its turn has been.
    pub(super) fn remove(&mut self, place: &QueuePlace) -> bool {
        let Some(queue) = self.users.get_mut(&place.user) else { return false };
        // Numbers rise along a queue.
        let at = queue.waiting.binary_search_by_key(&place.number, |(number, _)| *number);
        let Ok(at) = at else { return false };
        queue.waiting.remove(at);
        self.len -= 1;
        if queue.waiting.is_empty() {
            self.turns.remove(&queue.turn);
            self.users.remove(&place.user);
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
