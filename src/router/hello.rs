//! `hello`: the beginning of a session, and its fresh tokens.

use std::rc::Rc;

use super::Router;
use crate::auth::{Principal, Role};
use crate::domain::{Pattern, Reach};
use crate::hub::Session;
use crate::interest::Confirmation;
use crate::protocol::{Code, Hello, Refusal, RequestId, ServerFrame};

/// What a `hello` asks for beside being let in.
#[derive(Debug, Default)]
pub struct Wishes {
    /// The frame's id.
    pub id: Option<RequestId>,
    /// Patterns to begin with.
    pub subscribe: Vec<Pattern>,
    /// Whether the client came with a cursor of an earlier session.
    pub resumes: bool,
}

impl super::Services {
    /// Who a token speaks for, if he may hold a session.
    pub fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        let unauthorized = |message: String| Refusal::new(Code::Unauthorized, message);
        let principal = self
            .verifier
            .verify(token, self.wall.seconds())
            .map_err(|error| unauthorized(format!("hello: {error}")))?;
        match principal.role {
            Role::User => Ok(principal),
            Role::Service | Role::Admin => {
                Err(unauthorized("hello: the token's role acts over HTTP only".into()))
            }
        }
    }
}

impl Router {
    /// Lets a session in: `ready`, then live, then `cursor`.
    pub fn open(self: &Rc<Self>, session: &Rc<Session>, wishes: &Wishes) {
        self.services.metrics.sessions.inc();
        let (granted, refused) = Self::sort_wishes(session, &wishes.subscribe);
        if self.hub.borrow_mut().join(session) {
            self.wanted(&session.key());
        }
        self.add_patterns(session, &granted);
        self.ready(session, wishes.id.as_ref(), &ServerFrame::refused(&refused));
        let confirmation = self.services.interest.confirmation(&session.key());
        tokio::task::spawn_local(Rc::clone(self).go_live(
            Rc::clone(session),
            confirmation,
            wishes.resumes,
        ));
    }

    /// Nothing is repaired or resumed here: a session whose bucket was confirmed misses nothing
    /// that is acknowledged after its `cursor` as long as its node's links hold, and a client
    /// that was here before is told to load what it missed.
    async fn go_live(self: Rc<Self>, session: Rc<Session>, own: Confirmation, resumes: bool) {
        let confirmed = own.within(self.services.waits.interest).await;
        let complete = confirmed && !resumes;
        self.reply(&session, &ServerFrame::Cursor { cursor: None, complete, gaps: &[] });
    }

    fn sort_wishes(session: &Session, wishes: &[Pattern]) -> (Vec<Pattern>, Vec<Pattern>) {
        let principal = session.principal();
        let may = |pattern: &&Pattern| {
            principal.may_subscribe(pattern) && matches!(pattern.reach(), Reach::Key(_))
        };
        let lacking = session.lacking(wishes);
        lacking.iter().cloned().partition(|pattern| may(&pattern))
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

    /// A second `hello` brings a fresh token of the same user; everything else in it is ignored.
    pub(super) fn renew(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        hello: &Hello<'_>,
    ) -> Result<(), Refusal> {
        if let Some(token) = &hello.token {
            let principal = self.services.authenticate(token)?;
            if principal.user != session.user {
                let message = "hello: the token is of another user than the session";
                return Err(Refusal::new(Code::Unauthorized, message));
            }
            session.renew(principal);
        }
        self.ready(session, id, &[]);
        Ok(())
    }
}
