//! How far times may differ. The bounds stand in one place, since each one relies on the others.
//!
//! With all clocks right, every node issues ids from the upper end of an interval. The interval
//! contains the reference time R and is at most [`UNCERTAINTY_MAX`] wide. A machine that was paused
//! may raise the upper end by [`STEP_MAX`] until the next check.
//!
//! A client that states what it has seen may raise the ids of its node by [`CLAIMED_MAX`]. This is
//! counted from the upper end and not from ids, so claims do not add up. An id is then at most
//! [`IDS_AHEAD_MAX`] above R when it is issued. Every node's upper end is at or above R: no id of a
//! right node lies further than that above another node's upper end.

use std::time::Duration;

/// Largest width of the interval that contains the reference time, and largest error of the
/// machine's wall clock. The watermark's rules allow 5 s. The other half covers the time until a
/// check notices the error.
pub const UNCERTAINTY_MAX: Duration = Duration::from_millis(2500);

/// Largest movement of the machine's wall clock against the monotonic one between two checks. A
/// larger one is a step, or the machine was suspended together with its monotonic clock: the time
/// is then unknown. A smaller one raises the upper end of the interval until the next check.
pub const STEP_MAX: Duration = Duration::from_secs(1);

/// How far above the upper end the node believes a client's claim to have seen an id. It is the
/// largest difference between the upper ends of right clocks. No honest client claims more.
pub const CLAIMED_MAX: Duration = UNCERTAINTY_MAX;

/// How far an id of a right node may lie above the reference time, and so above the upper end of
/// any other node's interval.
pub const IDS_AHEAD_MAX: Duration =
    UNCERTAINTY_MAX.saturating_add(STEP_MAX).saturating_add(CLAIMED_MAX);

/// How far a read mark may lie above the upper end of the node's interval. Marks only move forward,
/// so one from far ahead would stay for good. The newest message lies within the bound.
pub const MARK_AHEAD_MAX: Duration = Duration::from_secs(10);

/// How long the lower end of the interval may take to pass a stamp that this node issued. The stamp
/// is at most [`IDS_AHEAD_MAX`] above R, and R is at most [`UNCERTAINTY_MAX`] above that end.
pub const PASSING_MAX: Duration = IDS_AHEAD_MAX.saturating_add(UNCERTAINTY_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallClock;
    use crate::domain::{HybridClock, Micros, Observed};

    /// The reference time; the intervals of two nodes that are as wrong as they may be.
    const R: Micros = Micros(1_000_000_000);

    #[test]
    fn an_id_of_a_right_node_is_adopted_and_may_be_marked_everywhere() {
        assert!(IDS_AHEAD_MAX < MARK_AHEAD_MAX, "a mark of the newest message is taken");
        let lowest_upper = R;
        let newest = R + IDS_AHEAD_MAX;
        let adopter = HybridClock::default();
        assert_eq!(adopter.observe(newest, lowest_upper + IDS_AHEAD_MAX), Observed::Adopted);
        assert!(newest.since(lowest_upper) <= MARK_AHEAD_MAX);
    }

    /// However many clients say that they have seen what others made of their claims.
    #[test]
    fn clients_move_no_id_above_what_right_nodes_may_issue() {
        let highest_upper = R + UNCERTAINTY_MAX + STEP_MAX;
        let ids = HybridClock::default();
        let mut newest = highest_upper;
        for _ in 0..100 {
            let claimed = newest + CLAIMED_MAX;
            let believed = WallClock::most_of_a_claim(highest_upper, true);
            let _refused = ids.observe(claimed.min(believed), believed);
            newest = ids.read(highest_upper);
        }
        assert_eq!(newest, R + IDS_AHEAD_MAX);
        // What a client has seen of a node without claims is always believed.
        assert!(highest_upper <= WallClock::most_of_a_claim(R, true) + STEP_MAX);
        assert_eq!(WallClock::most_of_a_claim(R, false), R, "one clock does not differ");
    }

    #[test]
    fn a_stamp_is_passed_in_time() {
        let (highest, lowest_lower) = (R + IDS_AHEAD_MAX, R - UNCERTAINTY_MAX);
        assert_eq!(highest.since(lowest_lower), PASSING_MAX);
    }
}
