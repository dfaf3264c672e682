//! Keys that are subscribed to for a time although no session here needs them.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::Hub;
use crate::domain::{MonotonicTime, PatternScope, RoutingKey};

/// The most such keys of a worker. Further ones are not subscribed to, so their limits count the
/// sends of this node alone.
const TEMPORARY_INTEREST_MAX: usize = 10_000;

/// Keys, each with the end of its time.
#[derive(Debug, Default)]
pub(super) struct TemporaryInterest {
    until: AHashMap<RoutingKey, MonotonicTime>,
    /// When to check which key again. All keys are added for equally long, so this is in order
    /// except for keys whose time was extended.
    looks: VecDeque<(MonotonicTime, RoutingKey)>,
}

impl TemporaryInterest {
    /// Adds a key until a time. Returns true if it was not here before.
    fn hear(&mut self, key: &RoutingKey, until: MonotonicTime) -> bool {
        if let Some(end) = self.until.get_mut(key) {
            *end = until;
            return false;
        }
        if self.until.len() >= TEMPORARY_INTEREST_MAX {
            return false;
        }
        self.until.insert(key.clone(), until);
        self.looks.push_back((until, key.clone()));
        true
    }

    /// Removes and returns the keys whose time is over.
    fn end(&mut self, now: MonotonicTime) -> Vec<RoutingKey> {
        let mut ended = Vec::new();
        while let Some((_, key)) = self.looks.pop_front_if(|(at, _)| *at <= now) {
            match self.until.get(&key) {
                Some(until) if *until > now => self.looks.push_back((*until, key)),
                _ => {
                    self.until.remove(&key);
                    ended.push(key);
                }
            }
        }
        ended
    }
}

impl Hub {
    /// Subscribes to a key until a time, even if no session here needs it. Returns true if it
    /// became wanted by that.
    pub fn temporary_interest(&mut self, key: &RoutingKey, until: MonotonicTime) -> bool {
        self.temporary_interest.hear(key, until) && self.want(PatternScope::Key(key.clone()))
    }

    /// Ends the keys whose time is over. Returns what became unwanted.
    pub fn end_temporary_interest(&mut self, now: MonotonicTime) -> Vec<PatternScope> {
        let ended = self.temporary_interest.end(now);
        ended.into_iter().filter_map(|key| self.unwant(PatternScope::Key(key))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> RoutingKey {
        RoutingKey::parse(&format!("room.r{number}")).unwrap()
    }

    #[test]
    fn a_key_is_heard_until_the_last_time_that_was_asked_for() {
        let mut hub = Hub::new(16);
        assert!(hub.temporary_interest(&key(1), MonotonicTime(10)));
        assert!(!hub.temporary_interest(&key(1), MonotonicTime(30)), "it is wanted already");
        assert!(hub.end_temporary_interest(MonotonicTime(10)).is_empty());
        assert!(hub.end_temporary_interest(MonotonicTime(29)).is_empty());
        assert_eq!(hub.end_temporary_interest(MonotonicTime(30)), [PatternScope::Key(key(1))]);
        assert!(hub.temporary_interest(&key(1), MonotonicTime(50)), "it can be added again");
    }

    #[test]
    fn what_sessions_need_stays_wanted() {
        let mut hub = Hub::new(16);
        assert!(hub.want(PatternScope::Key(key(1))));
        assert!(!hub.temporary_interest(&key(1), MonotonicTime(10)));
        assert!(hub.end_temporary_interest(MonotonicTime(10)).is_empty());
        assert_eq!(hub.unwant(PatternScope::Key(key(1))), Some(PatternScope::Key(key(1))));
    }

    #[test]
    fn no_more_are_heard_than_may_be() {
        let mut hub = Hub::new(16);
        let heard = (0..=TEMPORARY_INTEREST_MAX)
            .filter(|number| hub.temporary_interest(&key(*number), MonotonicTime(1)));
        assert_eq!(heard.count(), TEMPORARY_INTEREST_MAX);
        assert_eq!(hub.end_temporary_interest(MonotonicTime(1)).len(), TEMPORARY_INTEREST_MAX);
    }
}
