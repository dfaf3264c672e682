//! `send`: who may send what, and its answer. How a send is processed is in the room `send`.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::Router;
use crate::domain::Conversation;
use crate::hub::{SendOpPermit, Session};
use crate::protocol::{Code, ErrorReply, RequestId, Send};
use crate::send::{SendOrder, Sending, SentMessage, begin_temporary_interest};
use crate::telemetry::SendOutcome;

impl Router {
    /// Handles a send of a session. As far as nothing must be waited for, its id is issued and the
    /// store is called in the step that received the frame.
    pub(super) fn send(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        send: &Send<'_>,
    ) -> Result<(), ErrorReply> {
        let (conversation, permit) =
            self.check_send(session, &send.conversation).map_err(|refusal| {
                self.services.metrics.sends.count(SendOutcome::Refused);
                refusal.of_op("send")
            })?;
        let order = SendOrder {
            from: session.user.clone(),
            conversation,
            body: Bytes::copy_from_slice(send.body.get().as_bytes()),
            nonce: send.nonce.as_deref().map(Into::into),
            fresh: send.fresh,
            seen: send.seen,
            by_service: false,
        };
        let sending = Sending { order, session: Some(Rc::clone(session)) };
        run(Box::pin(Rc::clone(self).serve_send(permit, Rc::clone(session), id, sending)));
        Ok(())
    }

    /// Takes one of the session's permits for sends in flight, if the session may send to the
    /// conversation.
    fn check_send(
        &self,
        session: &Rc<Session>,
        conversation: &str,
    ) -> Result<(Conversation, SendOpPermit), ErrorReply> {
        let conversation = self.sessions.conversation_of(session, conversation)?;
        Ok((conversation, acquire_send_permit(session)?))
    }

    async fn serve_send(
        self: Rc<Self>,
        permit: SendOpPermit,
        session: Rc<Session>,
        id: Option<RequestId>,
        sending: Sending,
    ) {
        let outcome = self.sends.process(&sending).await;
        drop(permit);
        match (outcome, id) {
            (Ok(sent), Some(id)) => {
                let nonce = sending.order.nonce.as_deref();
                self.sessions.reply_text(&session, sent.text.sent(&id, nonce));
            }
            (Ok(_), None) => {}
            (Err(refusal), id) => {
                self.sessions.refuse(&session, id.as_ref(), &refusal.of_op("send"));
            }
        }
    }

    /// Sends in the name of a user without a session: it is processed alike, and all the user's
    /// sessions get the message. The caller may stop waiting: a send that has an id goes on.
    pub async fn send_for(self: Rc<Self>, order: SendOrder) -> Result<SentMessage, ErrorReply> {
        self.services.must_be_in(&order.from, &order.conversation).await?;
        begin_temporary_interest(&self.fanout.memberships, &order);
        let send = tokio::task::spawn_local(async move {
            self.sends.process(&Sending { order, session: None }).await
        });
        send.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a send ended without an outcome");
            Err(ErrorReply::new(Code::OutcomeUnknown, "the send ended without an outcome"))
        })
    }
}

/// Takes one of the session's permits for sends in flight.
pub(super) fn acquire_send_permit(session: &Rc<Session>) -> Result<SendOpPermit, ErrorReply> {
    if session.is_leaving() {
        return Err(ErrorReply::new(Code::Unavailable, "the node is being stopped"));
    }
    session.begin_send().map_err(|max| {
        let message = format!("{max} sends are unanswered, no more are allowed");
        ErrorReply::new(Code::LimitReached, message)
    })
}

/// Polls a task once here, and leaves the rest to the event loop. So tasks that need no wait
/// complete in the order of their arrival. The event loop polls the task again itself, which is why
/// this first poll needs no waker.
pub(super) fn run(mut task: Pin<Box<impl Future<Output = ()> + 'static>>) {
    let mut unwoken = Context::from_waker(Waker::noop());
    if task.as_mut().poll(&mut unwoken).is_pending() {
        tokio::task::spawn_local(task);
    }
}
