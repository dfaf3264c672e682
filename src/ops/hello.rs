//! `hello`: opens a session.

use std::rc::Rc;

use bytes::Bytes;

use super::Router;
use super::ready_limits::ready_limits;
use crate::domain::{Pattern, PatternScope, UserId};
use crate::hub::Session;
use crate::protocol::{ErrorReply, RequestId, ServerFrame, ServerVersion};

/// The beginning of a `ready` with a field that no client knows.
const UNKNOWN_FIELD: &str = r#"{"x_unknown":1,"#;

/// A frame that no client knows.
const UNKNOWN_FRAME: &[u8] = br#"{"op":"x_unknown","note":"clients ignore what they do not know"}"#;

/// What a `hello` asks for beside its authentication.
#[derive(Debug, Default)]
pub struct HelloOptions {
    /// The frame's id.
    pub id: Option<RequestId>,
    /// Patterns to begin with.
    pub subscribe: Vec<Pattern>,
    /// The cursor of an earlier session.
    pub cursor: Option<Box<str>>,
    /// The client's program.
    pub client: Option<Box<str>>,
    /// Fields of the frame that are not known.
    pub ignored: Vec<String>,
}

impl Router {
    /// Charges a `hello`: its patterns, and one read of its user. What its resume reads is not
    /// charged: it is paced by the budget of resumes, which users share fairly. So a user whose
    /// many devices reconnect at once can still read history and inbox.
    pub fn charge_hello(&self, user: &UserId, options: &HelloOptions) -> Result<(), ErrorReply> {
        let items = self.limiter.items(user, options.subscribe.len());
        let charged = items.and_then(|()| self.limiter.read(user));
        charged.map_err(|refused| refused.refusal().of_op("hello"))
    }

    /// Opens a session: it gets `ready`, then live messages, then a `cursor`.
    pub fn open(self: &Rc<Self>, session: &Rc<Session>, options: &HelloOptions) {
        let metrics = &self.services.metrics.sessions;
        metrics.open.inc();
        session.count_as(metrics.programs.enter(options.client.as_deref()));
        let (granted, mut refused) = Self::sort_wishes(session, &options.subscribe);
        session.recovery.begin_catch_up(self.sessions.hub.borrow().place());
        if self.sessions.hub.borrow_mut().join(session) {
            self.interest.acquire(&PatternScope::Key(session.key()));
        }
        if self.sessions.hub.borrow().is_loaded(&session.user) {
            session.load();
        }
        refused.extend(self.add_those_that_fit(session, &granted));
        // A later request that fails must not take these patterns back.
        session.confirm(&granted);
        // `ready` does not confirm any pattern. Literal patterns serve events from now on, since
        // their subscription is confirmed sooner than that of wide ones.
        self.sessions.hub.borrow_mut().activate(session, &granted);
        self.ready(session, options, &ServerFrame::refused(&refused));
        self.recovery.start(session, options.cursor.as_deref());
    }

    /// Ends a session; a second call does nothing.
    pub fn leave(&self, session: &Session) {
        if session.id().is_none() {
            return;
        }
        session.recovery.reader.abort();
        let unwanted = self.sessions.hub.borrow_mut().leave(session);
        unwanted.iter().for_each(|scope| self.interest.release(scope));
        self.services.metrics.sessions.open.dec();
    }

    fn sort_wishes(session: &Session, options: &[Pattern]) -> (Vec<Pattern>, Vec<Pattern>) {
        let principal = session.principal();
        let lacking = session.lacking(options);
        lacking.into_iter().partition(|pattern| principal.may_subscribe(pattern))
    }

    fn ready(&self, session: &Rc<Session>, options: &HelloOptions, refused: &[String]) {
        let services = &self.services;
        let frame = ServerFrame::Ready {
            server: ServerVersion::CURRENT,
            id: options.id.as_ref(),
            session: &format!("s-{:x}", session.number),
            user: session.user.as_str(),
            device: session.device.as_deref(),
            node: &services.identity.node,
            ping_ms: services.config.timeouts.ping.as_millis() as u64,
            limits: &ready_limits(&services.config),
            refused,
            ignored: &options.ignored,
            now: services.clocks.wall.now().millis(),
        };
        if !services.config.listen.unknown_frames {
            return self.sessions.reply(session, &frame);
        }
        let text = String::from_utf8_lossy(&frame.text()).replacen('{', UNKNOWN_FIELD, 1);
        self.sessions.reply_text(session, text.into());
        self.sessions.reply_text(session, Bytes::from_static(UNKNOWN_FRAME));
    }
}
