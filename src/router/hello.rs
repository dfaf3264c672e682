//! `hello`: the beginning of a session, and its fresh tokens.

use std::rc::Rc;

use super::Router;
use crate::auth::{Principal, TokenRole};
use crate::cluster::Safeguards;
use crate::domain::{Pattern, PatternScope, UserId};
use crate::hub::Session;
use crate::protocol::{Code, ErrorReply, Hello, RequestId, ServerFrame};
use crate::watermark::SessionPosition;

/// Items that the check of a token counts as: 10 to 100 microseconds for its signature, its claims
/// and up to 200 grants, where a pattern takes about one.
const TOKEN_ITEMS: usize = 50;

/// What a `hello` asks for beside being let in.
#[derive(Debug, Default)]
pub struct Wishes {
    /// The frame's id.
    pub id: Option<RequestId>,
    /// Patterns to begin with.
    pub subscribe: Vec<Pattern>,
    /// The cursor of an earlier session.
    pub cursor: Option<Box<str>>,
}

impl super::Services {
    /// Who a token speaks for, if he may hold a session.
    pub fn authenticate(&self, token: &str) -> Result<Principal, ErrorReply> {
        let principal = self.identify(token).map_err(|refusal| refusal.of_op("hello"))?;
        match principal.role {
            TokenRole::User => Ok(principal),
            TokenRole::Service | TokenRole::Admin => {
                let message = "hello: the token's role acts over HTTP only";
                Err(ErrorReply::new(Code::Unauthorized, message))
            }
        }
    }
}

impl Router {
    /// Charges a `hello`: its patterns, and one read of its user. What its resume reads is not charged:
    /// it is paced by the budget of resumes, which users share fairly. So a user whose many devices
    /// come back at once can still read history and inbox.
    pub fn charge_hello(&self, user: &UserId, wishes: &Wishes) -> Result<(), ErrorReply> {
        let items = self.limiter.items(user, wishes.subscribe.len());
        let charged = items.and_then(|()| self.limiter.read(user));
        charged.map_err(|refused| refused.refusal().of_op("hello"))
    }

    /// Lets a session in: `ready`, then live, then `cursor`.
    pub fn open(self: &Rc<Self>, session: &Rc<Session>, wishes: &Wishes) {
        self.services.metrics.sessions.inc();
        let (granted, mut refused) = Self::sort_wishes(session, &wishes.subscribe);
        session.recovery.begin_catch_up(self.hub.borrow().place());
        if self.hub.borrow_mut().join(session) {
            self.wanted(&PatternScope::Key(session.key()));
        }
        if self.hub.borrow().is_loaded(&session.user) {
            session.load();
        }
        refused.extend(self.add_those_that_fit(session, &granted));
        // A later request that fails does not take them back.
        session.confirm(&granted);
        // `ready` promises none of them: literal ones, which are heard sooner than wide ones, serve.
        self.hub.borrow_mut().settle(session, &granted);
        self.ready(session, wishes.id.as_ref(), &ServerFrame::refused(&refused));
        let claim = self.claim(session, wishes.cursor.as_deref());
        let position = SessionPosition::new(self.begins_at(claim), Safeguards::default());
        session.recovery.stand(position);
        self.begin_resume(session, claim);
    }

    fn sort_wishes(session: &Session, wishes: &[Pattern]) -> (Vec<Pattern>, Vec<Pattern>) {
        let principal = session.principal();
        let lacking = session.lacking(wishes);
        lacking.into_iter().partition(|pattern| principal.may_subscribe(pattern))
    }

    fn ready(&self, session: &Rc<Session>, id: Option<&RequestId>, refused: &[String]) {
        let services = &self.services;
        let frame = ServerFrame::Ready {
            id,
            session: &format!("s-{:x}", session.number),
            user: session.user.as_str(),
            device: session.device.as_deref(),
            node: &services.node,
            ping_ms: services.waits.ping.as_millis() as u64,
            limits: services.ready_limits,
            refused,
            time: services.wall.now().millis(),
        };
        self.reply(session, &frame);
    }

    /// A second `hello` brings a fresh token of the same user; everything else in it is ignored. What
    /// the session hears and the token does not grant ends at once, and `refused` names it. It counts
    /// as a read, as the first one does.
    pub(super) fn renew(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        hello: &Hello<'_>,
    ) -> Result<(), ErrorReply> {
        let items = hello.subscribe.len().max(hello.token.as_ref().map_or(0, |_| TOKEN_ITEMS));
        self.charge_items(session, items).map_err(|refusal| refusal.of_op("hello"))?;
        self.limiter.read(&session.user).map_err(|refused| refused.refusal().of_op("hello"))?;
        if let Some(token) = &hello.token {
            let principal = self.services.authenticate(token)?;
            if principal.user != session.user {
                let message = "hello: the token is of another user than the session";
                return Err(ErrorReply::new(Code::Unauthorized, message));
            }
            session.renew(principal);
        }
        let principal = session.principal();
        let lost = session.patterns(|pattern| !principal.may_subscribe(pattern));
        self.drop_patterns(session, &lost);
        self.ready(session, id, &ServerFrame::refused(&lost));
        Ok(())
    }
}
