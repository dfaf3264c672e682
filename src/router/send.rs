//! `send`: stored first, published second, acknowledged last.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout;

use super::rooms::no_answer;
use super::{Direct, Router};
use crate::bus::{Envelope, Kind};
use crate::domain::{Conversation, Message, MessageId, UserId};
use crate::hub::Session;
use crate::proof::{ACK_LIMIT, Doubt, Judgement, Ticket};
use crate::protocol::{Code, MessageText, Refusal, RequestId, Send};
use crate::store::AppendError;
use crate::telemetry::SendOutcome;

/// A send on its way.
struct Sending {
    id: Option<RequestId>,
    message: Arc<Message>,
    ticket: Ticket,
    issued: Instant,
}

impl Router {
    /// Issues the id at once, in the order of arrival; the rest waits for the store.
    pub(super) fn send(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        send: &Send<'_>,
    ) -> Result<(), Refusal> {
        let refused = |refusal: Refusal| {
            self.services.metrics.sends(SendOutcome::Refused);
            refusal.of_op("send")
        };
        let conversation = self.member_of(session, &send.conversation).map_err(refused)?;
        if session.is_leaving() {
            let refusal = Refusal::new(Code::Unavailable, "the node is being stopped");
            return Err(refused(refusal));
        }
        if !session.begin_send() {
            let max = session.bounds().sends_in_flight;
            let message = format!("{max} sends are unanswered, no more are allowed");
            return Err(refused(Refusal::new(Code::LimitReached, message)));
        }
        if let Some(seen) = send.after {
            self.services.observe(seen.time());
        }
        let Some((message_id, ticket)) = self.issue() else {
            session.end_send();
            let message = "this node has no lease for ids now, or too many sends are unsettled";
            return Err(refused(Refusal::new(Code::Unavailable, message)));
        };
        let message = Arc::new(Message {
            id: message_id,
            conversation,
            from: session.user.clone(),
            nonce: send.nonce.as_deref().map(Into::into),
            body: Bytes::copy_from_slice(send.body.get().as_bytes()),
        });
        self.sends.set(self.sends.get() + 1);
        let sending = Sending { id, message, ticket, issued: Instant::now() };
        tokio::task::spawn_local(Rc::clone(self).finish_send(Rc::clone(session), sending));
        Ok(())
    }

    /// An id of the incarnation that holds the lease, if it is this worker's.
    pub(super) fn issue(&self) -> Option<(MessageId, Ticket)> {
        let now = self.services.wall.moment();
        let lease = self.services.view.lease()?;
        lease
            .holds(self.publishers.tenure(), now)
            .then(|| self.publishers.issue(|| self.services.issue_id()))?
    }

    async fn finish_send(self: Rc<Self>, session: Rc<Session>, sending: Sending) {
        let stored = self.store_message(&session, &sending).await;
        session.end_send();
        self.sends.set(self.sends.get() - 1);
        let passed = stored.and_then(|()| self.announce_message(&session, &sending));
        if let Err(refusal) = passed {
            self.publishers.abandon(sending.ticket);
            let outcome = match refusal.code {
                Code::OutcomeUnknown => SendOutcome::Unknown,
                Code::Unavailable => SendOutcome::Unavailable,
                _ => SendOutcome::Refused,
            };
            self.services.metrics.sends(outcome);
            self.refuse(&session, sending.id.as_ref(), &refusal.of_op("send"));
        }
    }

    async fn store_message(&self, session: &Session, sending: &Sending) -> Result<(), Refusal> {
        let Sending { message, issued, .. } = sending;
        self.may_start(&session.user, &message.conversation).await?;
        let append = self.services.store.append(Arc::clone(message));
        let left = ACK_LIMIT.saturating_sub(issued.elapsed());
        // Given up on, the write goes on: it is the outcome that is unknown.
        let stored = timeout(left, append).await.map_err(|_elapsed| doubt(Doubt::Late))?;
        stored.map_err(append_refusal)?;
        self.services.metrics.store_seconds.observe(issued.elapsed().as_secs_f64());
        Ok(())
    }

    async fn may_start(&self, user: &UserId, conversation: &Conversation) -> Result<(), Refusal> {
        if self.services.direct == Direct::Anyone {
            return Ok(());
        }
        let bound = self.services.waits.store;
        match timeout(bound, self.services.store.is_member(user, conversation)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Refusal::new(Code::NotFound, "no such conversation")),
            Ok(Err(error)) => Err(Refusal::new(Code::Unavailable, error.to_string())),
            Err(_elapsed) => Err(Refusal::new(Code::Unavailable, no_answer(bound))),
        }
    }

    /// The acknowledgement is in hand. If it still counts: the links first, then the sessions here,
    /// then the sender's answer.
    fn announce_message(
        self: &Rc<Self>,
        session: &Rc<Session>,
        sending: &Sending,
    ) -> Result<(), Refusal> {
        let Sending { id, message, ticket, .. } = sending;
        let text = MessageText::new(message);
        let envelope = Envelope {
            kind: Kind::Message,
            tap_copy: false,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: message.id.to_bytes(),
            keys: message.conversation.keys().collect(),
            about: message.conversation.to_string().into(),
            frame: text.frame(),
        };
        let ways = self.ways(&envelope.keys);
        let lease = self.services.view.lease();
        match self.publishers.judge(*ticket, lease, ways.len() as u8) {
            Judgement::Passed => {}
            Judgement::Unknown(why) => return Err(doubt(why)),
        }
        self.services.metrics.sends(SendOutcome::Sent);
        self.fan_out(envelope, &ways, Some(*ticket), Some(session.number));
        if let Some(id) = id {
            self.reply_text(session, text.sent(id));
        }
        Ok(())
    }
}

pub(super) fn doubt(why: Doubt) -> Refusal {
    let message = match why {
        Doubt::Late => format!("the store took longer than {ACK_LIMIT:?}"),
        Doubt::Fenced => "the node lost its lease meanwhile".into(),
    };
    Refusal::new(Code::OutcomeUnknown, message)
}

pub(super) fn append_refusal(error: AppendError) -> Refusal {
    let code = match error {
        AppendError::Unavailable { .. } => Code::Unavailable,
        AppendError::OutcomeUnknown { .. } => Code::OutcomeUnknown,
    };
    Refusal::new(code, error.to_string())
}
