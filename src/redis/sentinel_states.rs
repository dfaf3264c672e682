//! Which sentinels of a shard cannot be used. A failover that needs one would be too late to learn it.

use parking_lot::Mutex;

/// Whether each sentinel was of no use when it was asked last, by its place in the configuration.
#[derive(Debug)]
pub(super) struct SentinelStates {
    are_away: Mutex<Vec<bool>>,
}

impl SentinelStates {
    /// So many, which count as usable until one is not.
    pub(super) fn of(sentinels: usize) -> Self {
        Self { are_away: Mutex::new(vec![false; sentinels]) }
    }

    /// Notes that a sentinel cannot be used. Returns whether that is news.
    pub(super) fn went_away(&self, place: usize) -> bool {
        !std::mem::replace(&mut self.are_away.lock()[place], true)
    }

    /// Notes that a sentinel can be used. Returns whether that is news.
    pub(super) fn came_back(&self, place: usize) -> bool {
        std::mem::take(&mut self.are_away.lock()[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_sentinel_is_news_once() {
        let states = SentinelStates::of(2);
        assert!(!states.came_back(0), "it never was away");
        assert!(states.went_away(0));
        assert!(!states.went_away(0), "it is known");
        assert!(states.went_away(1), "each has a state of its own");
        assert!(states.came_back(0));
        assert!(!states.came_back(0), "it is known");
        assert!(states.went_away(0), "it may go away again");
    }
}
