//! The pipeline of a send: admission, nonce, id, store, publish, record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::late::LateMessages;
use super::nonces::{First, NonceEntry, Nonces, look_up};
use super::send_ids::outcome_unknown;
use super::{InFlight, SendIds, SendOrder, Sending};
use crate::domain::{Conversation, Message, MessageId, Micros, SendContent};
use crate::fanout::Fanout;
use crate::hub::{Lane, Session, Slot};
use crate::limiter::{RateLimited, UserRate, WorkerLimiter};
use crate::protocol::{Code, ErrorReply, MessageText};
use crate::services::{Services, append_refusal, no_such_conversation, not_a_member};
use crate::store::{IdempotencyEntry, IdempotencyKey, IdempotencyRecord};
use crate::telemetry::SendOutcome;
use crate::watermark::{ACK_LIMIT, SendId, UnknownReason};

/// A send that succeeded.
#[derive(Debug)]
pub struct SentMessage {
    /// The message, as every reader gets it.
    pub text: MessageText,
    /// Whether an earlier try of the send became this message.
    pub is_replay: bool,
}

/// The greatest age of a message that is published again for a further try of its send. Later its
/// first publishes have been answered, or a repair has begun.
const PUBLISHED_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// A message that is acknowledged.
struct Acknowledged {
    message: Arc<Message>,
    text: MessageText,
    /// Whether it was acknowledged before, with the same nonce.
    again: bool,
}

/// The pipeline of a worker's sends.
#[derive(Debug)]
pub struct SendPipeline {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// Publishes what is acknowledged.
    pub fanout: Rc<Fanout>,
    /// Issues ids.
    pub ids: Rc<SendIds>,
    /// The limits on sends.
    pub limiter: Rc<WorkerLimiter>,
    /// Sends with nonces in flight.
    pub nonces: Rc<Nonces>,
    /// Sends that are not answered yet, and nonces that are not recorded yet.
    pub in_flight: InFlight,
    /// Messages of unknown outcome that are yet to be looked up in the store.
    pub late: LateMessages,
}

impl SendPipeline {
    /// Processes a send, and counts its outcome.
    pub async fn process(&self, sending: &Sending) -> Result<SentMessage, ErrorReply> {
        let permit = self.in_flight.enter();
        let outcome = self.send_under_nonce(sending).await;
        drop(permit);
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

    async fn send_under_nonce(&self, sending: &Sending) -> Result<SentMessage, ErrorReply> {
        self.services.clocks.must_know_the_time()?;
        let order = &sending.order;
        if let Some(seen) = order.seen {
            self.services.clocks.observe_claim(seen.time());
        }
        let Some(nonce) = &order.nonce else {
            let sent = self.send_once(sending, None).await?;
            return Ok(SentMessage { text: sent.text, is_replay: false });
        };
        let recent = sending.session().is_some_and(|session| session.nonces.note(nonce));
        let content = SendContent::of(&order.conversation, &order.body);
        match self.nonces.enter(&order.from, nonce, content)? {
            NonceEntry::Repeat(flight) => {
                let turn = sending.session().map(|session| session.fifo_gate.enter());
                let admitted = self.admit(sending, turn.as_ref()).await;
                let is_next = turn_comes(sending, turn.as_ref()).await;
                admitted.and(is_next)?;
                drop(turn);
                let message = flight.outcome().await?;
                Ok(SentMessage { text: self.text_of(&message), is_replay: true })
            }
            NonceEntry::First(first) => {
                let look_for = (!order.fresh || recent).then_some(content);
                let sent = self.send_once(sending, look_for).await;
                first.tell(
                    sent.as_ref().map(|sent| Arc::clone(&sent.message)).map_err(Clone::clone),
                );
                let Acknowledged { message, text, again } = sent?;
                if !again {
                    self.record(first, &message, nonce, content);
                }
                Ok(SentMessage { text, is_replay: again })
            }
        }
    }

    /// Sends a message, or finds that it was sent before. Of two sends of a session the first has
    /// the smaller id, however long either waits; their waits overlap.
    async fn send_once(
        &self,
        sending: &Sending,
        look_for: Option<SendContent>,
    ) -> Result<Acknowledged, ErrorReply> {
        let turn = sending.session().map(|session| session.fifo_gate.enter());
        let found = self.admit_and_look_up(sending, turn.as_ref(), look_for).await;
        let is_next = turn_comes(sending, turn.as_ref()).await;
        // What was sent before overtakes nothing.
        if let Some(id) = found? {
            return Ok(self.acknowledge_again(sending, id));
        }
        is_next?;
        // Taken after the session's turn has come: a send that held a permit during that wait could
        // block the send before it.
        let _permit = self.limiter.send_permit(&sending.order.from).await;
        self.must_still_be_in(&sending.order)?;
        let (id, send_id) = self.ids.issue()?;
        let issued = Instant::now();
        drop(turn);
        let message = Arc::new(sending.order.message(id));
        let stored = self.store_message(&message, issued).await;
        let announced = stored.and_then(|()| self.announce_message(sending, &message, send_id));
        if let Err(refusal) = &announced {
            if refusal.code == Code::OutcomeUnknown {
                self.services.cluster.watermark_state.outcome_unknown(id.time());
                self.late.look_for(&self.fanout, Arc::clone(&message));
            }
            self.ids.abandon(send_id);
        }
        announced.map(|text| Acknowledged { message, text, again: false })
    }

    /// Checks the membership again after the waits, in the step that issues the id. Refuses the
    /// send if this worker has received the sender's removal meanwhile.
    fn must_still_be_in(&self, order: &SendOrder) -> Result<(), ErrorReply> {
        let Conversation::Room(room) = &order.conversation else { return Ok(()) };
        let hub = self.fanout.sessions.hub.borrow();
        let is_out = hub.is_loaded(&order.from) && !hub.is_inside(&order.from, room);
        match (is_out, order.by_service) {
            (false, _) => Ok(()),
            (true, true) => Err(not_a_member(&order.from, &order.conversation)),
            (true, false) => Err(no_such_conversation()),
        }
    }

    /// Does what comes before the id: decides whether the sender may send now, and returns the id
    /// that the sender's nonce was acknowledged with.
    async fn admit_and_look_up(
        &self,
        sending: &Sending,
        turn: Option<&Slot<'_>>,
        look_for: Option<SendContent>,
    ) -> Result<Option<MessageId>, ErrorReply> {
        self.admit(sending, turn).await?;
        let order = &sending.order;
        match (&order.nonce, look_for) {
            (Some(nonce), Some(content)) => look_up(&self.services, order, nonce, content).await,
            _ => Ok(None),
        }
    }

    /// Decides whether a sender may send now. Every send passes here once, a retry like a first
    /// try, and before it has an id. It waits only where the store or the limiter must be asked, or
    /// for its user's rate.
    async fn admit(&self, sending: &Sending, turn: Option<&Slot<'_>>) -> Result<(), ErrorReply> {
        let order = &sending.order;
        let passed = match (&sending.session, turn) {
            (Some((session, until)), Some(turn)) => {
                let passed = self.wait_for_rate(order, session, *until, turn).await;
                self.limiter.counted(passed)
            }
            _ => self.limiter.send(&order.from, &order.conversation).await,
        };
        passed.map_err(|refused| match sending.session() {
            Some(session) if session.is_leaving() => ErrorReply::stopping(),
            _ => refused.refusal(),
        })?;
        if order.by_service {
            return Ok(());
        }
        self.services.must_be_started(&order.from, &order.conversation).await
    }

    /// Lets a session's send pass the limits. If it is over its user's rate, it waits for its turn
    /// and then for the rate. So one send of a session waits for the rate at a time, and those
    /// behind it wait for their turn. If it is refused, so are they.
    async fn wait_for_rate(
        &self,
        order: &SendOrder,
        session: &Session,
        until: tokio::time::Instant,
        turn: &Slot<'_>,
    ) -> Result<(), RateLimited> {
        let mut asked = self.limiter.ask_send(&order.from, &order.conversation).await;
        if asked.is_err_and(|refused| refused.is_of(UserRate::Sends)) {
            turn.comes().await;
            // A send that is refused anyway takes nothing from the rate.
            if !turn.is_refused() {
                asked = self.limiter.ask_send(&order.from, &order.conversation).await;
            }
        }
        while let Err(refused) = asked
            && refused.is_of(UserRate::Sends)
            && !turn.is_refused()
            && !session.is_leaving()
            && session.link().is_open()
            && let Some(wait) = session.wait_for_rate(refused, until)
        {
            session.wait_unless_leaving(wait).await;
            asked = self.limiter.ask_send(&order.from, &order.conversation).await;
        }
        if asked.is_err_and(|refused| refused.is_of(UserRate::Sends)) {
            turn.refuse();
        }
        asked
    }

    async fn store_message(
        &self,
        message: &Arc<Message>,
        issued: Instant,
    ) -> Result<(), ErrorReply> {
        let append = self.services.store.append(Arc::clone(message));
        let left = ACK_LIMIT.saturating_sub(issued.elapsed());
        // The write goes on after the timeout, so the outcome is unknown.
        let stored =
            timeout(left, append).await.map_err(|_elapsed| outcome_unknown(UnknownReason::Late))?;
        stored.map_err(append_refusal)?;
        self.services.metrics.sends.append_seconds.observe(issued.elapsed());
        Ok(())
    }

    /// Announces an acknowledged message, if its acknowledgement still counts. The shard
    /// connections come first, then the sessions here, then, in the same step, the sender's answer.
    fn announce_message(
        &self,
        sending: &Sending,
        message: &Message,
        send_id: SendId,
    ) -> Result<MessageText, ErrorReply> {
        let text = self.text_of(message);
        let envelope = self.fanout.envelope(message, &text);
        let targets = self.fanout.targets(&envelope.keys);
        self.ids.check(send_id, targets.len())?;
        let except = sending.session().map(|session| session.number);
        self.fanout.fan_out(envelope, &targets, Some(send_id), except);
        Ok(text)
    }

    /// Answers a send that was acknowledged before with its nonce: the same message. It is published
    /// again only while its id is above the node's watermark.
    ///
    /// No delivery depends on that publish, so it has no send id, and may be lost like an event if
    /// its shard is down. The node that acknowledged the message tracked its id, and every watermark
    /// above it waited for those publishes or for a repair. The publish only makes delivery faster
    /// where the first one was lost.
    ///
    /// At or below the watermark every session here has the message, and the worker has forgotten
    /// that it delivered it. A publish would show it to all of them again. The node's watermark is
    /// enough: a worker that has yet to reach it has the delivery in its queue, before the
    /// watermark. A node that has just begun, or whose watermark stands still, knows less than the
    /// others. So nothing older than [`PUBLISHED_AGAIN_WITHIN`] is published again either.
    fn acknowledge_again(&self, sending: &Sending, id: MessageId) -> Acknowledged {
        self.services.clocks.observe(id.time());
        let message = Arc::new(sending.order.message(id));
        let text = self.text_of(&message);
        let watermark = self.services.cluster.watermark_state.watermark();
        if is_published_again(id.time(), watermark, self.services.clocks.wall.now()) {
            let except = sending.session().map(|session| session.number);
            self.fanout.fan_out_untracked(self.fanout.envelope(&message, &text), except);
        }
        Acknowledged { message, text, again: true }
    }

    fn text_of(&self, message: &Message) -> MessageText {
        MessageText::new(message, &self.services.identity.dedup_key)
    }

    /// Records an acknowledged nonce in the background. If that fails, a retry of the send is
    /// stored as another row, which readers collapse.
    fn record(&self, first: First, message: &Message, nonce: &str, content: SendContent) {
        let record = IdempotencyRecord { id: message.id, content: content.0 };
        let key = IdempotencyKey { sender: message.from.clone(), nonce: nonce.into() };
        let written = self.services.store.put_idempotency(IdempotencyEntry { key, record });
        let (permit, bound) = (self.in_flight.enter(), self.services.config.timeouts.store);
        tokio::task::spawn_local(async move {
            match timeout(bound, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the store did not record a nonce"),
                Err(_elapsed) => tracing::debug!("the store did not record a nonce in time"),
            }
            drop((first, permit));
        });
    }
}

/// Returns whether a message of this time is published again for a further try of its send, on a
/// node with this watermark and time.
fn is_published_again(of: Micros, watermark: Micros, now: Micros) -> bool {
    of > watermark && now.since(of) <= PUBLISHED_AGAIN_WITHIN
}

/// Waits for the turn of a session's send. Refuses it if one before it was refused for its wait: no
/// send is acknowledged that would overtake it.
async fn turn_comes(sending: &Sending, turn: Option<&Slot<'_>>) -> Result<(), ErrorReply> {
    let (Some(session), Some(turn)) = (sending.session(), turn) else { return Ok(()) };
    turn.comes().await;
    if !turn.is_refused() {
        return Ok(());
    }
    let left = session.closed_for(Lane::Writes).map(|(_, left)| left);
    Err(ErrorReply::refused_with_earlier(left.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_published_again_for_30_s_and_above_the_watermark() {
        let of = Micros(1_795_492_901_000_000);
        let (below, second) = (Micros(of.0 - 1), Duration::from_secs(1));
        for (watermark, age, is_again) in [
            (below, Duration::ZERO, true),
            (below, 30 * second, true),
            (below, 30 * second + Duration::from_micros(1), false),
            (Micros(0), 86_400 * second, false),
            (of, Duration::ZERO, false),
            (Micros(of.0 + 1), second, false),
        ] {
            let now = Micros(of.0 + age.as_micros() as u64);
            assert_eq!(is_published_again(of, watermark, now), is_again, "{watermark:?} {age:?}");
        }
        assert!(is_published_again(of, below, below), "of a node whose clock is ahead");
    }
}
