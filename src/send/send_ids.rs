//! Ids of sends: issued under the lease, and checked before anything is acknowledged.

use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Readable;
use crate::domain::MessageId;
use crate::protocol::{Code, ErrorReply};
use crate::services::Services;
use crate::shards::Publishers;
use crate::watermark::{ACK_LIMIT, AckDecision, SendId, UnknownReason};

/// Issues the ids of sends, each tracked until its publishes are answered.
#[derive(Debug)]
pub struct SendIds {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's shard connections, which track the publishes.
    pub publishers: Rc<Publishers>,
}

impl SendIds {
    /// Issues an id, if this worker's incarnation holds the lease.
    pub fn issue(&self) -> Result<(MessageId, SendId), ErrorReply> {
        let clocks = &self.services.clocks;
        let now = clocks.wall.moment();
        let lease = self.services.cluster.watermark_state.lease();
        let holds = lease.is_some_and(|lease| lease.holds(self.publishers.generation(), now));
        let issued = if holds { self.publishers.issue(|| clocks.issue_id()) } else { None };
        if let Some(issued) = issued {
            return Ok(issued);
        }
        // A wrong clock also ends the lease. It is reported first, since the operator can correct
        // it.
        clocks.must_know_the_time()?;
        let message = "this node has no lease for ids now, or too many sends are unsettled";
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    /// Decides whether a stored send may be acknowledged, with so many publishes to follow.
    pub fn check(&self, send_id: SendId, publishes: usize) -> Result<(), ErrorReply> {
        let lease = self.services.cluster.watermark_state.lease();
        match self.publishers.check_ack(send_id, lease, publishes as u8) {
            AckDecision::Passed => Ok(()),
            AckDecision::Unknown(why) => Err(outcome_unknown(why)),
        }
    }

    /// Returns whether every publish of a send that passed is confirmed.
    pub fn is_confirmed(&self, send_id: SendId) -> bool {
        self.publishers.is_confirmed(send_id)
    }

    /// Gives up a send that is not acknowledged: nothing is published for it.
    pub fn abandon(&self, send_id: SendId) {
        self.publishers.abandon(send_id);
    }
}

/// Returns the error for a write that may have been stored.
pub(super) fn outcome_unknown(why: UnknownReason) -> ErrorReply {
    let message = match why {
        UnknownReason::Late => format!("the store took longer than {}", Readable(ACK_LIMIT)),
        UnknownReason::Fenced => "the node lost its lease during the send".into(),
    };
    ErrorReply::new(Code::OutcomeUnknown, message)
}
