//! `subscribe` and `unsubscribe`.

use std::rc::Rc;
use std::time::Duration;

use super::Router;
use crate::clock::Readable;
use crate::domain::{Pattern, PatternScope};
use crate::hub::{PatternLimit, PatternWait, Session};
use crate::interest::{Confirmation, all_within};
use crate::protocol::{Code, ErrorReply, RequestId};

/// A subscribe whose patterns are not confirmed yet.
struct Waiting {
    id: Option<RequestId>,
    patterns: Vec<Pattern>,
    claim: u32,
    confirmations: Vec<Confirmation>,
    wait: PatternWait,
}

fn limit_reached(limit: &PatternLimit) -> ErrorReply {
    ErrorReply::new(Code::LimitReached, limit.to_string())
}

impl Router {
    /// Adds patterns, all or none. They receive events at once; `ok` goes out when all are
    /// confirmed.
    pub(super) fn subscribe(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        patterns: Vec<Pattern>,
    ) -> Result<(), ErrorReply> {
        self.charge_items(session, patterns.len())?;
        self.check_patterns(session, &patterns)?;
        self.add_patterns(session, &patterns).map_err(|limit| limit_reached(&limit))?;
        let claim = session.claim(&patterns);
        let confirmations: Vec<Confirmation> =
            patterns.iter().map(|pattern| self.confirmation(pattern)).collect();
        if confirmations.iter().all(|one| matches!(one, Confirmation::Done)) {
            self.confirmed(session, &patterns);
            self.sessions.ok(session, id.as_ref());
        } else {
            let wait = session.begin_wait(patterns.len());
            let waiting = Waiting { id, patterns, claim, confirmations, wait };
            tokio::task::spawn_local(Rc::clone(self).confirm(Rc::clone(session), waiting));
        }
        Ok(())
    }

    /// Charges a session's user for the items of a list, before anything is done with it.
    pub(super) fn charge_items(&self, session: &Session, items: usize) -> Result<(), ErrorReply> {
        self.limiter.items(&session.user, items).map_err(|refused| refused.refusal())
    }

    fn check_patterns(&self, session: &Session, patterns: &[Pattern]) -> Result<(), ErrorReply> {
        let principal = session.principal();
        for pattern in patterns {
            if !principal.may_subscribe(pattern) {
                let message = format!("`{pattern}` is not granted");
                return Err(ErrorReply::new(Code::Forbidden, message));
            }
        }
        let (held, new) = (session.pattern_count(), session.lacking(patterns).len());
        let max = self.services.config.limits.requests.patterns;
        if held + new > max {
            let message = format!("`patterns` would be {}, at most {max} are allowed", held + new);
            return Err(ErrorReply::new(Code::LimitReached, message));
        }
        let waiting = session.awaited() + patterns.len();
        if waiting > max {
            let message = format!(
                "`patterns` that wait for their confirmation would be {waiting}, at most {max} are \
                 allowed"
            );
            return Err(ErrorReply::new(Code::LimitReached, message));
        }
        Ok(())
    }

    /// Adds patterns, all or none.
    pub(super) fn add_patterns(
        &self,
        session: &Session,
        patterns: &[Pattern],
    ) -> Result<(), PatternLimit> {
        let wanted = self.sessions.hub.borrow_mut().subscribe(session, patterns)?;
        wanted.iter().for_each(|scope| self.interest.acquire(scope));
        Ok(())
    }

    /// Adds as many of these patterns as fit, in their order. Returns those that did not fit.
    pub(super) fn add_those_that_fit(
        &self,
        session: &Session,
        patterns: &[Pattern],
    ) -> Vec<Pattern> {
        if self.add_patterns(session, patterns).is_ok() {
            return Vec::new();
        }
        let does_not_fit = |pattern: &&Pattern| {
            self.add_patterns(session, std::slice::from_ref(*pattern)).is_err()
        };
        patterns.iter().filter(does_not_fit).cloned().collect()
    }

    fn confirmation(&self, pattern: &Pattern) -> Confirmation {
        match pattern.scope() {
            PatternScope::Key(key) => self.services.cluster.interest.confirmation(&key),
            PatternScope::Wide => self.services.cluster.feed.confirmation(),
        }
    }

    fn confirmed(&self, session: &Session, patterns: &[Pattern]) {
        session.confirm(patterns);
        self.sessions.hub.borrow_mut().activate(session, patterns);
    }

    /// Returns how long the confirmation of these patterns may take: a wide one waits for other
    /// nodes.
    fn patience(&self, patterns: &[Pattern]) -> Duration {
        let wide = patterns.iter().any(|pattern| pattern.scope() == PatternScope::Wide);
        let waits = &self.services.config.timeouts;
        if wide { waits.tap } else { waits.subscribe }
    }

    pub(super) fn drop_patterns(&self, session: &Session, patterns: &[Pattern]) {
        let unwanted = self.sessions.hub.borrow_mut().unsubscribe(session, patterns);
        unwanted.iter().for_each(|scope| self.interest.release(scope));
    }

    fn refuse_subscribe(&self, session: &Rc<Session>, id: Option<&RequestId>, message: String) {
        let refusal = ErrorReply::new(Code::Unavailable, message).of_op("subscribe");
        self.sessions.refuse(session, id, &refusal);
    }

    /// Waits for every confirmation. If one does not come, takes back the patterns that no other
    /// request has confirmed or claimed.
    async fn confirm(self: Rc<Self>, session: Rc<Session>, waiting: Waiting) {
        let Waiting { id, patterns, claim, confirmations, wait } = waiting;
        let bound = self.patience(&patterns);
        let confirmed = all_within(confirmations, bound).await;
        drop(wait);
        if !confirmed {
            self.drop_patterns(&session, &session.unconfirmed(claim));
            let message = format!("no confirmation within {}", Readable(bound));
            return self.refuse_subscribe(&session, id.as_ref(), message);
        }
        if let Some(lost) = session.lacking(&patterns).first() {
            let message = format!("`{lost}` was unsubscribed meanwhile");
            return self.refuse_subscribe(&session, id.as_ref(), message);
        }
        self.confirmed(&session, &patterns);
        self.sessions.ok(&session, id.as_ref());
    }

    /// Removes patterns; a pattern that the session does not have changes nothing.
    pub(super) fn unsubscribe(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        patterns: &[Pattern],
    ) -> Result<(), ErrorReply> {
        self.charge_items(session, patterns.len())?;
        self.drop_patterns(session, patterns);
        self.sessions.ok(session, id);
        Ok(())
    }
}
