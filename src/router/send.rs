//! `send`: stored first, published second, acknowledged last.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::publish::member_of;
use super::{Direct, Router};
use crate::bus::{Envelope, Kind};
use crate::domain::{Conversation, Message, UserId};
use crate::hub::Session;
use crate::protocol::{Code, MessageText, Refusal, RequestId, Send};
use crate::store::AppendError;
use crate::telemetry::SendOutcome;

/// From a message's id to its acknowledgement by the store, on both clocks. One that takes longer
/// is not published: proofs elsewhere rely on it.
const LEASE: Duration = Duration::from_secs(5);

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
        let conversation = member_of(session, &send.conversation).map_err(refused)?;
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
        let message = Arc::new(Message {
            id: self.services.issue_id(),
            conversation,
            from: session.user.clone(),
            nonce: send.nonce.as_deref().map(Into::into),
            body: Bytes::copy_from_slice(send.body.get().as_bytes()),
        });
        self.sends.set(self.sends.get() + 1);
        let finish = Rc::clone(self).finish_send(Rc::clone(session), id, message, Instant::now());
        tokio::task::spawn_local(finish);
        Ok(())
    }

    async fn finish_send(
        self: Rc<Self>,
        session: Rc<Session>,
        id: Option<RequestId>,
        message: Arc<Message>,
        issued: Instant,
    ) {
        let stored = self.store_message(&session, &message, issued).await;
        session.end_send();
        self.sends.set(self.sends.get() - 1);
        match stored {
            Ok(()) => {
                self.services.metrics.sends(SendOutcome::Sent);
                self.announce_message(&session, id.as_ref(), &message);
            }
            Err(refusal) => {
                let outcome = match refusal.code {
                    Code::OutcomeUnknown => SendOutcome::Unknown,
                    Code::Unavailable => SendOutcome::Unavailable,
                    _ => SendOutcome::Refused,
                };
                self.services.metrics.sends(outcome);
                self.refuse(&session, id.as_ref(), &refusal.of_op("send"));
            }
        }
    }

    async fn store_message(
        &self,
        session: &Session,
        message: &Arc<Message>,
        issued: Instant,
    ) -> Result<(), Refusal> {
        self.may_start(&session.user, &message.conversation).await?;
        let append = self.services.store.append(Arc::clone(message));
        let left = LEASE.saturating_sub(issued.elapsed());
        // Given up on, the write goes on: it is the outcome that is unknown.
        let stored = timeout(left, append).await.map_err(|_elapsed| late())?;
        // Both clocks are read now that the acknowledgement is in hand.
        let (elapsed, wall) = (issued.elapsed(), self.services.wall.now());
        stored.map_err(refusal)?;
        self.services.metrics.store_seconds.observe(elapsed.as_secs_f64());
        if elapsed > LEASE || wall.since(message.id.time()) > LEASE {
            return Err(late());
        }
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

    /// The links first, then the sessions here, then the sender's answer.
    fn announce_message(&self, session: &Rc<Session>, id: Option<&RequestId>, message: &Message) {
        let text = MessageText::new(message);
        let envelope = Envelope {
            kind: Kind::Message,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: message.id.to_bytes(),
            keys: message.conversation.keys().collect(),
            about: message.conversation.to_string().into(),
            frame: text.frame(),
        };
        self.fan_out(envelope, session.id());
        if let Some(id) = id {
            self.reply_text(session, text.sent(id));
        }
    }
}

fn late() -> Refusal {
    Refusal::new(Code::OutcomeUnknown, format!("the store took longer than {LEASE:?}"))
}

fn no_answer(bound: Duration) -> String {
    format!("the store did not answer within {bound:?}")
}

fn refusal(error: AppendError) -> Refusal {
    let code = match error {
        AppendError::Unavailable { .. } => Code::Unavailable,
        AppendError::OutcomeUnknown { .. } => Code::OutcomeUnknown,
    };
    Refusal::new(code, error.to_string())
}
