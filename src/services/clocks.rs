//! The clocks of a node: the wall clock, and the clock of ids.

use std::sync::Arc;

use crate::clock::WallClock;
use crate::domain::{HybridClock, MessageId, Micros, Observed};
use crate::protocol::{Code, ErrorReply};
use crate::telemetry::Metrics;

/// The clocks of a node. Those of several nodes on one embedded store are the same.
#[derive(Debug)]
pub struct NodeClocks {
    /// The clock of ids.
    pub ids: Arc<HybridClock>,
    /// The wall clock.
    pub wall: WallClock,
    /// Counts the times that the clock of ids refuses.
    pub metrics: Arc<Metrics>,
}

impl NodeClocks {
    /// Issues an id.
    pub fn issue_id(&self) -> MessageId {
        MessageId::new(self.ids.issue(self.wall.now()), rand::random())
    }

    /// Shows the clock the time of an id that this node delivered, read or served.
    pub fn observe(&self, seen: Micros) {
        self.believe(seen, self.wall.most_of_an_id());
    }

    /// Shows the clock the time of an id that a client claims to have seen.
    pub fn observe_claim(&self, seen: Micros) {
        self.believe(seen, self.wall.most_claimed());
    }

    fn believe(&self, seen: Micros, most: Micros) {
        if self.ids.observe(seen, most) == Observed::Refused {
            self.metrics.clock.refused.inc();
        }
    }

    /// Advances the clock of ids to a stamp that the next change must be above. Refuses a stamp
    /// that is too far ahead.
    pub fn follow(&self, stamp: MessageId) -> Result<(), ErrorReply> {
        self.observe(stamp.time());
        if self.ids.read(self.wall.now()) >= stamp.time() {
            return Ok(());
        }
        let message = "the last change was stamped by a clock that is far ahead of this node's";
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    /// Refuses an op that gets an id, or would show the clock a client's time, while this node's
    /// time is not verified.
    pub fn must_know_the_time(&self) -> Result<(), ErrorReply> {
        if self.wall.is_known() {
            return Ok(());
        }
        // The time may be known again before the reason is read.
        let complaint = self.wall.complaint();
        let message =
            complaint.unwrap_or_else(|| "this node's clock was not known to be right".into());
        Err(ErrorReply::new(Code::Unavailable, message))
    }
}
