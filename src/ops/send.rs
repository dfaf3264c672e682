//! `send`: who may send what, and its answer. How a send is processed is in the room `send`.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::Router;
use super::start::Start;
use crate::domain::Conversation;
use crate::hub::{HELD_MAX, Session};
use crate::protocol::{Code, ErrorReply, RequestId, Retry, Send};
use crate::send::{SendOrder, Sending, SentMessage, begin_temporary_interest};
use crate::telemetry::SendOutcome;
use crate::worker_call::Caller;

impl Router {
    /// Handles a send of a session. As far as nothing must be waited for, its id is issued and the
    /// store is called in the step that received the frame.
    pub(super) fn send(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        send: &Send<'_>,
        start: Start,
    ) -> Result<(), ErrorReply> {
        let named = self.sessions.conversation_of(session, &send.conversation);
        let conversation =
            named.inspect_err(|_| self.services.metrics.sends.count(SendOutcome::Refused))?;
        let order = SendOrder {
            from: session.user.clone(),
            conversation,
            body: Bytes::copy_from_slice(send.body.get().as_bytes()),
            nonce: send.nonce.as_deref().map(Into::into),
            fresh: send.fresh,
            seen: send.seen,
            by_service: false,
        };
        let until = start.since + HELD_MAX;
        let sending = Sending { order, session: Some((Rc::clone(session), until)) };
        run(Box::pin(Rc::clone(self).serve_send(start, Rc::clone(session), id, sending)));
        Ok(())
    }

    async fn serve_send(
        self: Rc<Self>,
        start: Start,
        session: Rc<Session>,
        id: Option<RequestId>,
        sending: Sending,
    ) {
        let outcome = self.sends.process(&sending).await;
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
        drop(start);
    }

    /// Sends in the name of a user without a session: it is processed alike, and all the user's
    /// sessions get the message. The caller may stop waiting: a send that has an id goes on.
    pub async fn send_for(self: Rc<Self>, order: SendOrder) -> Result<SentMessage, ErrorReply> {
        self.must_be_let_in(&order).await?;
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

impl Router {
    /// Refuses a sender who is not in the conversation. A room itself may always write into it.
    async fn must_be_let_in(&self, order: &SendOrder) -> Result<(), ErrorReply> {
        let SendOrder { from, conversation, .. } = order;
        match conversation {
            Conversation::Room(room) if from.is_of_room() => self.must_exist(room).await.map(drop),
            _ if order.by_service => self.services.must_be_in_for_service(from, conversation).await,
            _ => self.services.must_be_in(from, conversation).await,
        }
    }

    /// Charges a user for a list of messages, and for the reads that check the rooms in it, before
    /// anything is done with it.
    fn charge_messages(&self, caller: &Caller, orders: &[SendOrder]) -> Result<(), ErrorReply> {
        self.charge_list(caller, "messages", orders.len())?;
        let is_room = |order: &&SendOrder| matches!(order.conversation, Conversation::Room(_));
        match (caller, orders.iter().filter(is_room).count()) {
            (Caller::User(user), rooms @ 1..) => {
                self.limiter.read(user).map_err(|refused| refused.refusal())?;
                self.limiter.owe_reads(user, rooms - 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sends the messages of one sender, each behind the one before. After one that may pass later
    /// the rest is not tried, so that their order holds.
    pub async fn send_all_for(
        self: Rc<Self>,
        caller: Caller,
        orders: Vec<SendOrder>,
    ) -> Vec<Result<SentMessage, ErrorReply>> {
        if let Err(refusal) = self.charge_messages(&caller, &orders) {
            return orders.iter().map(|_| Err(refusal.clone())).collect();
        }
        let (mut outcomes, mut is_stopped) = (Vec::with_capacity(orders.len()), false);
        for order in orders {
            if is_stopped {
                outcomes.push(Err(not_tried()));
                continue;
            }
            let outcome = Rc::clone(&self).send_for(order).await;
            is_stopped = outcome.as_ref().is_err_and(|it| it.code.retry() != Retry::Never);
            outcomes.push(outcome);
        }
        outcomes
    }
}

fn not_tried() -> ErrorReply {
    let message = "not tried, since an earlier message of the sender in the list was not sent";
    ErrorReply::new(Code::Unavailable, message)
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
