//! What each op means: one file per op, over the services of a node and the hub of a worker.

mod bounded_concurrency;
mod dispatch;
mod events;
mod flow;
mod hello;
mod history;
mod inbox;
mod inbox_order;
mod inbox_place;
mod last_told;
mod mark_read;
mod publish;
mod ready_limits;
mod renew;
mod rooms;
mod send;
mod signal;
mod start;
mod subscribe;
mod user_rooms;

use std::rc::Rc;
use std::sync::Arc;

use crate::domain::{Conversation, RoomId, UserId};
use crate::fanout::{Fanout, KeyInterest, Sessions};
use crate::hub::Session;
use crate::limiter::WorkerLimiter;
use crate::protocol::{ErrorReply, Op, Request, RequestHead};
use crate::recovery::Recovery;
use crate::send::{MembershipChanges, SendPipeline};
use crate::services::Services;

use flow::held_op;
use start::Start;

pub use events::EventOrder;
pub use hello::HelloOptions;
#[cfg(test)]
pub(crate) use history::collapse;
pub use inbox::InboxEntry;
pub use last_told::LastTold;
pub use rooms::RoomWish;

/// A worker's part of every op.
#[derive(Debug)]
pub struct Router {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's sessions.
    pub sessions: Rc<Sessions>,
    /// The keys that they need.
    pub interest: Rc<KeyInterest>,
    /// Publishes events.
    pub fanout: Rc<Fanout>,
    /// Processes sends.
    pub sends: Rc<SendPipeline>,
    /// Changes memberships.
    pub changes: MembershipChanges,
    /// Brings sessions up to date.
    pub recovery: Rc<Recovery>,
    /// The limits on sends, events and reads of the worker's users.
    pub limiter: Rc<WorkerLimiter>,
    /// The read marks that were told.
    pub told_marks: LastTold<(UserId, Conversation)>,
    /// The stamps of the rooms whose titles and data were told.
    pub told_rooms: LastTold<RoomId>,
}

impl Router {
    /// Handles one frame of a session, and returns how many list items it named.
    pub fn handle(self: &Rc<Self>, session: &Rc<Session>, text: &str) -> usize {
        self.services.metrics.sessions.client_frames.inc();
        let request = Request::read(text, &self.services.config.limits.requests);
        let items = request.op.as_ref().map_or(0, Op::items);
        if let Some(op) = request.op.as_ref().ok().and_then(held_op) {
            self.start_or_hold(session, op, request, text);
        } else {
            let start = Start { _permit: None, since: session.link().last_seen() };
            self.execute(session, request, start);
        }
        items
    }

    /// Refuses a frame without executing it; only its id and its op are read.
    pub fn reject(&self, session: &Rc<Session>, text: &str, refusal: ErrorReply) {
        self.services.metrics.limits.refused_frames.inc();
        let head = RequestHead::scan(text);
        self.sessions.refuse(session, head.id.as_ref(), &head.refusal(refusal));
    }
}
