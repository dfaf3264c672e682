//! The audit: looks for a message at or below the watermark that a live session did not get. Such a
//! message means a bug, or that a server or node reported something untrue.

use std::rc::Rc;
use std::time::Duration;

use rand::seq::IndexedRandom;

use super::reader::{Recipient, Turns};
use super::{Pacer, Recovery};
use crate::domain::{Message, Micros};
use crate::hub::Session;

/// Messages that wait for the watermark to pass them; further ones are not checked.
const UNCONFIRMED_MAX: usize = 10_000;

/// How long the audit waits before it looks for a session again, after it found none.
const IDLE: Duration = Duration::from_secs(1);

/// How long after a session's first cursor it is certain which messages it must get: twice the 5 s
/// that a clock may be off.
const OWED_AFTER: Duration = Duration::from_secs(10);

/// A message that a session had not received when the message was read.
#[derive(Debug)]
pub(super) struct UnconfirmedDelivery {
    session: Rc<Session>,
    message: Message,
}

impl Recovery {
    /// Audits randomly chosen sessions, without end.
    pub async fn audit(self: Rc<Self>, pacer: Pacer) {
        loop {
            let session = self.random_session();
            match session {
                Some(session) if !self.services.cluster.watermark_state.look().frozen => {
                    self.audit_one(session, &pacer).await;
                }
                _ => tokio::time::sleep(IDLE).await,
            }
        }
    }

    fn random_session(&self) -> Option<Rc<Session>> {
        let hub = self.sessions.hub.borrow();
        let places: Vec<&Rc<Session>> = hub.sessions().collect();
        let chosen = places.choose(&mut rand::rng()).map(|session| Rc::clone(session));
        chosen.filter(|session| session.recovery.position().is_shared())
    }

    /// Reads what lies above the watermark. It may still be on its way, so it is checked later.
    async fn audit_one(self: &Rc<Self>, session: Rc<Session>, pacer: &Pacer) {
        let above = self.watermark.get();
        let reader = self.reader(Turns::Node(pacer), 1, Recipient::Session(&session));
        let Some(changed) =
            reader.changed(&session.user, &self.sessions.rooms_of(&session), above).await
        else {
            return;
        };
        for conversation in &changed.conversations {
            let suspect = |message: &Message| {
                let mut unconfirmed = self.unconfirmed.borrow_mut();
                let full = unconfirmed.len() >= UNCONFIRMED_MAX;
                if !full && self.may_decide(&session, message) {
                    let (session, message) = (Rc::clone(&session), message.clone());
                    unconfirmed.push(UnconfirmedDelivery { session, message });
                }
            };
            if reader.each_above(conversation, above, suspect).await.is_none() {
                return;
            }
        }
    }

    /// Returns whether a session must get a message and has not got it yet. The message is newer
    /// than the session, the watermark has yet to pass it, and no delivery was forgotten meanwhile.
    fn may_decide(&self, session: &Session, message: &Message) -> bool {
        let time = message.id.time();
        let hub = self.sessions.hub.borrow();
        let key = message.conversation.key_of(&session.user);
        time > session.recovery.since() + OWED_AFTER
            && time > self.watermark.get()
            && time > hub.forgotten()
            && hub.is_still_for(session, key.as_room(), message.id)
            && !hub.had(session, &key, message.id)
    }

    /// Counts a finding. A message that was not acknowledged need not be published, and no
    /// watermark waits for it: it is no bug if it is found.
    fn count_finding(&self, message: &Message) {
        if self.services.cluster.watermark_state.may_be_unknown(message.id.time()) {
            self.services.metrics.recovery.audit_unknown.inc();
            tracing::debug!(id = %message.id, "a send of unknown outcome is stored; no error");
        } else {
            self.services.metrics.recovery.audit_found.inc();
            tracing::error!(
                id = %message.id,
                "the watermark passed a message that a session did not get; report this bug"
            );
        }
    }

    /// Checks the messages that the watermark has passed: those that are still not delivered are
    /// findings.
    pub(super) fn check_unconfirmed(&self, watermark: Micros) {
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        if unconfirmed.is_empty() {
            return;
        }
        let due: Vec<UnconfirmedDelivery> =
            unconfirmed.extract_if(.., |it| it.message.id.time() <= watermark).collect();
        drop(unconfirmed);
        for UnconfirmedDelivery { session, message } in due {
            let shared = session.link().is_open() && session.recovery.position().is_shared();
            let hub = self.sessions.hub.borrow();
            let key = message.conversation.key_of(&session.user);
            let known = message.id.time() > hub.forgotten();
            let had = hub.had(&session, &key, message.id);
            // Rooms that the user joined since are not covered by the watermark yet, and rooms that
            // the user left no longer count.
            let is_recipient = hub.is_still_for(&session, key.as_room(), message.id)
                && message.id.time() <= hub.cap(&session.user);
            drop(hub);
            if !shared || !known || had || !is_recipient {
                continue;
            }
            if !session.recovery.has_caught(message.id) {
                self.count_finding(&message);
                self.deliver_missed(&session, &message);
            }
        }
    }
}
