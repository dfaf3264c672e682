//! The pipeline of a send: admission, nonce, id, store, publish, record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Router;
use super::access::{append_refusal, no_such_conversation};
use super::nonces::{First, NonceEntry, SendContent};
use super::send::{SendOrder, Sending};
use crate::bus::{Envelope, EnvelopeKind};
use crate::domain::{Conversation, Message, MessageId};
use crate::protocol::{Code, ErrorReply, MessageText};
use crate::store::{HistoryRange, NonceRecord, PageLimit};
use crate::telemetry::SendOutcome;
use crate::watermark::{ACK_LIMIT, AckDecision, SendId, UnknownReason};

/// How long after a send was answered `outcome_unknown` its message is looked up. The servers give
/// up on a write after 2 s, and the clients of the store after 3 s.
const LOOK_FOR_LATE: Duration = Duration::from_secs(10);

/// Messages that are looked up concurrently. Further ones are found by resumes and by history.
const LATE_MAX: usize = 1000;

/// The most messages of one microsecond in one conversation that are looked through.
const AT_ONE_TIME: PageLimit = PageLimit { messages: 16, bytes: 1 << 20 };

/// A message that is acknowledged.
struct Acknowledged {
    message: Arc<Message>,
    text: MessageText,
    /// Whether it was acknowledged before, with the same nonce.
    again: bool,
}

impl Router {
    /// Processes a send, and counts its outcome.
    pub(super) async fn take_send(
        self: &Rc<Self>,
        sending: &Sending,
    ) -> Result<MessageText, ErrorReply> {
        self.sends.set(self.sends.get() + 1);
        let outcome = self.send_under_nonce(sending).await;
        self.sends.set(self.sends.get() - 1);
        self.services.metrics.sends.count(match &outcome {
            Ok(_) => SendOutcome::Sent,
            Err(refusal) => match refusal.code {
                Code::OutcomeUnknown => SendOutcome::Unknown,
                Code::Unavailable => SendOutcome::Unavailable,
                _ => SendOutcome::Refused,
            },
        });
        outcome
    }

    async fn send_under_nonce(
        self: &Rc<Self>,
        sending: &Sending,
    ) -> Result<MessageText, ErrorReply> {
        self.services.must_know_the_time()?;
        let Sending { order, session } = sending;
        if let Some(seen) = order.after {
            self.services.observe_claim(seen.time());
        }
        let Some(nonce) = &order.nonce else {
            return self.send_once(sending, None).await.map(|sent| sent.text);
        };
        let recent = session.as_ref().is_some_and(|session| session.nonces.note(nonce));
        let content = SendContent::of(&order.conversation, &order.body);
        match self.nonces.enter(&order.from, nonce, content)? {
            NonceEntry::Repeat(flight) => {
                self.admit(order).await?;
                flight.outcome().await.map(|message| MessageText::new(&message))
            }
            NonceEntry::First(first) => {
                let known = (order.retry || recent).then_some(content);
                let sent = self.send_once(sending, known).await;
                first.tell(
                    sent.as_ref().map(|sent| Arc::clone(&sent.message)).map_err(Clone::clone),
                );
                let Acknowledged { message, text, again } = sent?;
                if !again {
                    self.record(first, &message, nonce, content);
                }
                Ok(text)
            }
        }
    }

    /// Sends a message, or finds that it was sent before. Of two sends of a session the first has
    /// the smaller id, however long either waits; their waits overlap.
    async fn send_once(
        self: &Rc<Self>,
        sending: &Sending,
        look_for: Option<SendContent>,
    ) -> Result<Acknowledged, ErrorReply> {
        let turn = sending.session.as_ref().map(|session| session.fifo_gate.enter());
        let found = self.admit_and_look_up(&sending.order, look_for).await;
        if let Some(turn) = &turn {
            turn.comes().await;
        }
        if let Some(id) = found? {
            return Ok(self.acknowledge_again(sending, id));
        }
        // Taken after the session's turn has come: a send that held a permit during that wait could
        // block the send before it.
        let _permit = self.limiter.send_permit(&sending.order.from).await;
        self.must_still_be_in(&sending.order)?;
        let (id, send_id) = self.issue()?;
        let issued = Instant::now();
        drop(turn);
        let message = Arc::new(message(&sending.order, id));
        let stored = self.store_message(&message, issued).await;
        let announced = stored.and_then(|()| self.announce_message(sending, &message, send_id));
        if let Err(refusal) = &announced {
            if refusal.code == Code::OutcomeUnknown {
                self.services.watermark_state.outcome_unknown(id.time());
                self.look_for_late(Arc::clone(&message));
            }
            self.publishers.abandon(send_id);
        }
        announced.map(|text| Acknowledged { message, text, again: false })
    }

    /// Checks the membership again after the waits, in the step that issues the id. Refuses the
    /// send if this worker has received the sender's removal meanwhile.
    fn must_still_be_in(&self, order: &SendOrder) -> Result<(), ErrorReply> {
        let Conversation::Room(room) = &order.conversation else { return Ok(()) };
        let hub = self.hub.borrow();
        let is_out = hub.is_loaded(&order.from) && !hub.is_inside(&order.from, room);
        if is_out { Err(no_such_conversation()) } else { Ok(()) }
    }

    /// Does what comes before the id: decides whether the sender may send now, and returns the id
    /// that the sender's nonce was acknowledged with.
    async fn admit_and_look_up(
        &self,
        order: &SendOrder,
        look_for: Option<SendContent>,
    ) -> Result<Option<MessageId>, ErrorReply> {
        self.admit(order).await?;
        match (&order.nonce, look_for) {
            (Some(nonce), Some(content)) => {
                self.services.look_up(&order.from, nonce, content).await
            }
            _ => Ok(None),
        }
    }

    /// Decides whether a sender may send now. Every send passes here once, a retry like a first
    /// try, and before it has an id. It waits only where the store or the limiter must be asked.
    async fn admit(&self, order: &SendOrder) -> Result<(), ErrorReply> {
        let passed = self.limiter.send(&order.from, &order.conversation).await;
        passed.map_err(|refused| refused.refusal())?;
        if order.by_service {
            return Ok(());
        }
        self.services.must_be_started(&order.from, &order.conversation).await
    }

    /// Issues an id, if this worker's incarnation holds the lease.
    pub(super) fn issue(&self) -> Result<(MessageId, SendId), ErrorReply> {
        let now = self.services.wall.moment();
        let lease = self.services.watermark_state.lease();
        let holds = lease.is_some_and(|lease| lease.holds(self.publishers.generation(), now));
        let issued = if holds { self.publishers.issue(|| self.services.issue_id()) } else { None };
        if let Some(issued) = issued {
            return Ok(issued);
        }
        // A wrong clock also ends the lease. It is reported first, since the operator can correct
        // it.
        self.services.must_know_the_time()?;
        let message = "this node has no lease for ids now, or too many sends are unsettled";
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    async fn store_message(
        &self,
        message: &Arc<Message>,
        issued: Instant,
    ) -> Result<(), ErrorReply> {
        let append = self.services.store.append(Arc::clone(message));
        let left = ACK_LIMIT.saturating_sub(issued.elapsed());
        // The write goes on after the timeout, so the outcome is unknown.
        let stored = timeout(left, append).await.map_err(|_elapsed| doubt(UnknownReason::Late))?;
        stored.map_err(append_refusal)?;
        self.services.metrics.sends.append_seconds.observe(issued.elapsed().as_secs_f64());
        Ok(())
    }

    /// Checks later whether a message is stored whose send was answered `outcome_unknown`.
    /// Publishes it if it is.
    fn look_for_late(self: &Rc<Self>, message: Arc<Message>) {
        if self.late.get() >= LATE_MAX {
            return;
        }
        self.late.set(self.late.get() + 1);
        let router = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LOOK_FOR_LATE).await;
            let just_below = MessageId::first_of(message.id.time() - Duration::from_micros(1));
            let range = HistoryRange::After(Some(just_below));
            let read = router.services.store.history(&message.conversation, range, AT_ONE_TIME);
            let is_it = |stored: &Message| stored.id == message.id;
            if let Ok(page) = router.services.answer(read).await
                && page.messages.iter().any(is_it)
            {
                router.publish_late(&message);
            }
            router.late.set(router.late.get() - 1);
        });
    }

    /// Publishes a message that is stored though its send was answered `outcome_unknown`, so that
    /// connected devices have it as history has. Like an event, it may be lost: no watermark waits
    /// for it.
    fn publish_late(self: &Rc<Self>, message: &Message) {
        self.services.metrics.sends.published_late.inc();
        let envelope = self.envelope(message, &MessageText::new(message));
        let targets = self.targets(&envelope.keys);
        self.fan_out(envelope, &targets, None, None);
    }

    /// Announces an acknowledged message, if its acknowledgement still counts. The shard
    /// connections come first, then the sessions here, then, in the same step, the sender's answer.
    fn announce_message(
        self: &Rc<Self>,
        sending: &Sending,
        message: &Message,
        send_id: SendId,
    ) -> Result<MessageText, ErrorReply> {
        let text = MessageText::new(message);
        let envelope = self.envelope(message, &text);
        let targets = self.targets(&envelope.keys);
        let lease = self.services.watermark_state.lease();
        match self.publishers.check_ack(send_id, lease, targets.len() as u8) {
            AckDecision::Passed => {}
            AckDecision::Unknown(why) => return Err(doubt(why)),
        }
        let except = sending.session.as_ref().map(|session| session.number);
        self.fan_out(envelope, &targets, Some(send_id), except);
        Ok(text)
    }

    /// Answers a send that was acknowledged before with its nonce: the same message, published
    /// again.
    ///
    /// It has no send id, since no delivery depends on it. The node that acknowledged the message
    /// tracked its id, and every watermark above it waited for those publishes or for a repair.
    /// This publish only makes delivery faster, so it may be lost like an event if its shard is
    /// down.
    fn acknowledge_again(self: &Rc<Self>, sending: &Sending, id: MessageId) -> Acknowledged {
        self.services.observe(id.time());
        let message = Arc::new(message(&sending.order, id));
        let text = MessageText::new(&message);
        let envelope = self.envelope(&message, &text);
        let targets = self.targets(&envelope.keys);
        let except = sending.session.as_ref().map(|session| session.number);
        self.fan_out(envelope, &targets, None, except);
        Acknowledged { message, text, again: true }
    }

    fn envelope(&self, message: &Message, text: &MessageText) -> Envelope {
        Envelope {
            kind: EnvelopeKind::Message,
            tap_copy: false,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: message.id.to_bytes(),
            keys: message.conversation.keys().collect(),
            about: message.conversation.to_string().into(),
            frame: text.frame(),
        }
    }

    /// Records an acknowledged nonce in the background. If that fails, a retry of the send is
    /// stored as another row, which readers collapse.
    fn record(self: &Rc<Self>, first: First, message: &Message, nonce: &str, content: SendContent) {
        let record = NonceRecord { id: message.id, content: content.0 };
        let written = self.services.store.note_nonce(&message.from, nonce, record);
        self.sends.set(self.sends.get() + 1);
        let router = Rc::clone(self);
        tokio::task::spawn_local(async move {
            match timeout(router.services.waits.store, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the store did not record a nonce"),
                Err(_elapsed) => tracing::debug!("the store did not record a nonce in time"),
            }
            drop(first);
            router.sends.set(router.sends.get() - 1);
        });
    }
}

fn message(order: &SendOrder, id: MessageId) -> Message {
    Message {
        id,
        conversation: order.conversation.clone(),
        from: order.from.clone(),
        nonce: order.nonce.clone(),
        body: order.body.clone(),
    }
}

pub(super) fn doubt(why: UnknownReason) -> ErrorReply {
    let message = match why {
        UnknownReason::Late => format!("the store took longer than {ACK_LIMIT:?}"),
        UnknownReason::Fenced => "the node lost its lease during the send".into(),
    };
    ErrorReply::new(Code::OutcomeUnknown, message)
}
