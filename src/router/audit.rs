//! Looking for what should not be there: a message at or below the watermark that a live session
//! was not handed. It means a bug, or that some part lied.

use std::rc::Rc;
use std::time::Duration;

use rand::seq::IndexedRandom;

use super::recovery_reader::{Recipient, Turns};
use super::{Pacer, Router};
use crate::domain::{Message, Micros};
use crate::hub::Session;

/// Messages that wait for the watermark to be judged; more are not looked at.
const SUSPECTS_MAX: usize = 10_000;

/// Between two looks for somebody to audit while there is nobody.
const IDLE: Duration = Duration::from_secs(1);

/// From a session's first cursor until what it is owed is certain: twice the 5 s that a clock may
/// be off.
const OWED_AFTER: Duration = Duration::from_secs(10);

/// A message that a session had not been handed when it was read.
#[derive(Debug)]
pub struct UnconfirmedDelivery {
    session: Rc<Session>,
    message: Message,
}

impl Router {
    /// Audits random users for ever.
    pub async fn audit(self: Rc<Self>, pacer: Pacer) {
        loop {
            let session = self.somebody();
            match session {
                Some(session) if !self.services.view.look().frozen => {
                    self.audit_one(session, &pacer).await;
                }
                _ => tokio::time::sleep(IDLE).await,
            }
        }
    }

    fn somebody(&self) -> Option<Rc<Session>> {
        let hub = self.hub.borrow();
        let places: Vec<&Rc<Session>> = hub.sessions().collect();
        let chosen = places.choose(&mut rand::rng()).map(|session| Rc::clone(session));
        chosen.filter(|session| session.recovery.position().is_shared())
    }

    /// Reads what lies above the watermark: it may be under way, so it is judged later.
    async fn audit_one(self: &Rc<Self>, session: Rc<Session>, pacer: &Pacer) {
        let above = self.watermark.get();
        let reader = self.reader(Turns::Node(pacer), 1, Recipient::Session(&session));
        let Some(changed) = reader.changed(&session.user, &self.rooms_of(&session), above).await
        else {
            return;
        };
        for conversation in &changed.conversations {
            let suspect = |message: &Message| {
                let mut unconfirmed = self.unconfirmed.borrow_mut();
                let full = unconfirmed.len() >= SUSPECTS_MAX;
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

    /// Whether it is known that a session is owed a message and was not handed it yet: it began after
    /// the session did, the watermark will pass it, and nothing was forgotten meanwhile.
    fn may_decide(&self, session: &Session, message: &Message) -> bool {
        let time = message.id.time();
        let hub = self.hub.borrow();
        let key = message.conversation.key_of(&session.user);
        time > session.recovery.since() + OWED_AFTER
            && time > self.watermark.get()
            && time > hub.forgotten()
            && hub.is_still_for(session, key.as_room(), message.id)
            && !hub.had(session, &key, message.id)
    }

    /// A message that was not acknowledged need not be published, and no watermark waits for it: it
    /// is no bug if it turns up.
    fn count_finding(&self, message: &Message) {
        if self.services.view.may_be_unknown(message.id.time()) {
            self.services.metrics.audit_unknown.inc();
            tracing::debug!(id = %message.id, "a send whose outcome was unknown turned up");
        } else {
            self.services.metrics.audit_found.inc();
            tracing::error!(id = %message.id, "the watermark passed a message not handed over");
        }
    }

    /// The watermark passed some of them: those that were not handed over since are findings.
    pub(super) fn check_suspects(&self, watermark: Micros) {
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        if unconfirmed.is_empty() {
            return;
        }
        let due: Vec<UnconfirmedDelivery> =
            unconfirmed.extract_if(.., |it| it.message.id.time() <= watermark).collect();
        drop(unconfirmed);
        for UnconfirmedDelivery { session, message } in due {
            let shared = session.link().is_open() && session.recovery.position().is_shared();
            let hub = self.hub.borrow();
            let key = message.conversation.key_of(&session.user);
            let known = message.id.time() > hub.forgotten();
            let had = hub.had(&session, &key, message.id);
            // A room that he joined since is not up to the watermark yet, and one that he left is
            // not his.
            let his = hub.is_still_for(&session, key.as_room(), message.id)
                && message.id.time() <= hub.cap(&session.user);
            drop(hub);
            if !shared || !known || had || !his {
                continue;
            }
            if !session.recovery.has_caught(message.id) {
                self.count_finding(&message);
                self.deliver_missed(&session, &message);
            }
        }
    }
}
