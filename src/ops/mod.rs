//! What each op means: one file per op, over the services of a node and the hub of a worker.

mod bounded_concurrency;
mod deferred;
mod events;
mod hello;
mod history;
mod inbox;
mod inbox_order;
mod inbox_place;
mod mark_read;
mod publish;
mod read_ops;
mod renew;
mod rooms;
mod send;
mod signal;
mod subscribe;
mod user_rooms;

use std::rc::Rc;
use std::sync::Arc;

use crate::fanout::{Fanout, KeyInterest, Sessions};
use crate::hub::Session;
use crate::limiter::WorkerLimiter;
use crate::protocol::{ErrorReply, Op, Request, RequestHead, ServerFrame};
use crate::recovery::Recovery;
use crate::send::{MembershipChanges, SendPipeline};
use crate::services::Services;

use deferred::needs_rooms;

pub use events::EventOrder;
pub use hello::HelloOptions;
#[cfg(test)]
pub(crate) use history::collapse;
pub use inbox::InboxEntry;
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
}

impl Router {
    /// Handles one frame of a session, and returns how many list items it named.
    pub fn handle(self: &Rc<Self>, session: &Rc<Session>, text: &str) -> usize {
        self.services.metrics.sessions.client_frames.inc();
        self.take_frame(session, text)
    }

    fn take_frame(self: &Rc<Self>, session: &Rc<Session>, text: &str) -> usize {
        let Request { id, op } = Request::read(text, &self.services.config.limits.requests);
        let items = op.as_ref().map_or(0, Op::items);
        if !session.is_loaded() && op.as_ref().is_ok_and(needs_rooms) {
            self.defer(session, text);
            return items;
        }
        let result = op.and_then(|op| match op {
            Op::Hello(_) => Err(ErrorReply::bad_request(
                "the session has begun; a fresh token is brought by `renew`",
            )
            .of_op("hello")),
            Op::Renew(token) => self.renew(session, id.as_ref(), &token),
            Op::Send(send) => self.send(session, id.clone(), &send),
            Op::History(history) => self.history(session, id.clone(), &history),
            Op::Inbox(inbox) => self.inbox(session, id.clone(), &inbox),
            Op::MarkRead(mark) => self.mark_read(session, id.clone(), &mark),
            Op::Publish(publish) => self.publish(session, id.as_ref(), publish),
            Op::Signal(signal) => self.signal(session, id.as_ref(), &signal),
            Op::Subscribe(patterns) => self.subscribe(session, id.clone(), patterns),
            Op::Unsubscribe(patterns) => self.unsubscribe(session, id.as_ref(), &patterns),
            Op::Ping => {
                let now = self.services.clocks.wall.now().millis();
                self.sessions.reply(session, &ServerFrame::Pong { id: id.as_ref(), now });
                Ok(())
            }
        });
        if let Err(refusal) = result {
            self.sessions.refuse(session, id.as_ref(), &refusal);
        }
        items
    }

    /// Executes the deferred frames of sessions whose rooms are known now, without end.
    pub async fn execute_deferred(self: Rc<Self>) {
        loop {
            for session in self.recovery.loaded().await {
                session.load();
                let texts = self.sessions.hub.borrow_mut().take_deferred(&session);
                for text in texts {
                    self.take_frame(&session, &text);
                }
            }
        }
    }

    /// Refuses a frame without executing it; only its id and its op are read.
    pub fn reject(&self, session: &Rc<Session>, text: &str, refusal: ErrorReply) {
        self.services.metrics.limits.refused_frames.inc();
        let head = RequestHead::scan(text);
        self.sessions.refuse(session, head.id.as_ref(), &head.refusal(refusal));
    }
}
