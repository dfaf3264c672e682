//! Handles each frame of a client, by the stage of its connection.

use std::cell::RefCell;
use std::rc::Rc;

use super::context::ConnectionContext;
use super::serve::PendingSession;
use crate::domain::RoutingKey;
use crate::hub::Session;
use crate::layout::worker_of;
use crate::limiter::{ConnectionMeter, HandshakePermit, Metered};
use crate::ops::HelloOptions;
use crate::protocol::{CloseReason, Code, ErrorReply, Hello, Op, Request, RequestHead, RequestId};
use crate::socket::{ClientMessage, Handler, HandlerAction, Link, OutboxItem, ProtocolViolation};

/// The stage of a connection.
#[derive(Debug)]
pub(super) enum Stage {
    /// It has not sent `hello`. In a box, so that a session does not keep its size.
    Handshaking(Box<HelloPending>),
    /// It is a session here.
    Open(Rc<Session>),
    /// It is to become a session on another worker.
    Moving(Box<PendingSession>),
    /// It is over.
    Ended,
}

/// What is kept for a connection that has not sent `hello`.
#[derive(Debug)]
pub(super) struct HelloPending {
    /// Its slot among the handshakes.
    pub(super) place: usize,
    /// The token that the upgrade carried.
    pub(super) bearer: Option<Box<str>>,
    /// Its permit among the connections without a token.
    pub(super) handshake: HandshakePermit,
}

/// A connection's stage, shared by its socket and its task.
pub(super) type SharedStage = Rc<RefCell<Stage>>;

pub(super) struct SessionHandler {
    pub(super) context: Rc<ConnectionContext>,
    pub(super) link: Rc<Link>,
    pub(super) stage: SharedStage,
    pub(super) meter: ConnectionMeter,
}

impl Handler for SessionHandler {
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction {
        let ClientMessage::Text(text) = message else {
            return HandlerAction::Close((&ProtocolViolation::Binary).into());
        };
        let open = match &*self.stage.borrow() {
            Stage::Open(session) => Some(Rc::clone(session)),
            _ => None,
        };
        match open {
            Some(session) => self.handle_frame(&session, text),
            None => self.handshake(text),
        }
    }

    /// Charges the frame like any other, in every stage of the connection. Too many get no error: a
    /// ping must be answered, and a fragment cannot be taken out of its message.
    fn other(&mut self, bytes: usize) -> HandlerAction {
        match self.measure(bytes) {
            Metered::Taken | Metered::Refused(_) => HandlerAction::Continue,
            Metered::Abuse => self.end_abuse(),
        }
    }
}

impl SessionHandler {
    /// Handles a frame of a session, if its connection has not sent too many.
    fn handle_frame(&mut self, session: &Rc<Session>, text: &str) -> HandlerAction {
        let metered = self.measure(text.len());
        let router = Rc::clone(&self.context.router);
        match metered {
            Metered::Taken if text.len() > self.frame_bytes() => {
                router.reject(session, text, too_large(text.len(), self.frame_bytes()));
            }
            Metered::Taken => {
                let items = router.handle(session, text);
                self.owe(items);
                if router.holds_enough(session) {
                    return HandlerAction::Pause;
                }
            }
            Metered::Refused(refused) => router.reject(session, text, refused.refusal()),
            Metered::Abuse => return self.end_abuse(),
        }
        HandlerAction::Continue
    }

    /// Returns the bytes that a frame may have.
    fn frame_bytes(&self) -> usize {
        self.context.router.services.config.limits.frame_bytes as usize
    }

    /// Charges the connection for a frame.
    fn measure(&mut self, bytes: usize) -> Metered {
        let now = self.context.nanos(self.link.last_seen());
        self.meter.take(&self.context.rates, now, bytes)
    }

    /// Charges the connection for the items that a frame named.
    fn owe(&mut self, items: usize) {
        let now = self.context.nanos(self.link.last_seen());
        self.meter.owe_items(&self.context.rates, now, items);
    }

    fn end_abuse(&self) -> HandlerAction {
        self.context.router.services.metrics.sessions.closes(CloseReason::RateAbuse.code());
        HandlerAction::Close(CloseReason::RateAbuse.frame())
    }

    /// The first frame must be a `hello` that is accepted; anything else ends the connection.
    fn handshake(&self, text: &str) -> HandlerAction {
        let services = &self.context.router.services;
        services.metrics.sessions.client_frames.inc();
        let Request { id, op } = Request::read(text, &services.config.limits.requests);
        let hello = match op {
            Ok(Op::Hello(hello)) => hello,
            Ok(_) => {
                let refusal = ErrorReply::bad_request("the first frame must be `hello`");
                let refusal = RequestHead::scan(text).refusal(refusal);
                return self.turn_away(id.as_ref(), &refusal, CloseReason::BadProtocol);
            }
            Err(refusal) => return self.turn_away(id.as_ref(), &refusal, CloseReason::BadProtocol),
        };
        match self.pending(id.clone(), hello) {
            Ok(pending) => self.accept(pending),
            Err(refusal) => {
                let close = CloseReason::of_refused_hello(refusal.code);
                self.turn_away(id.as_ref(), &refusal, close)
            }
        }
    }

    fn pending(
        &self,
        id: Option<RequestId>,
        hello: Hello<'_>,
    ) -> Result<PendingSession, ErrorReply> {
        let stage = self.stage.borrow();
        let bearer = match &*stage {
            Stage::Handshaking(stranger) => stranger.bearer.as_deref(),
            _ => None,
        };
        let missing = || ErrorReply::new(Code::Unauthorized, "`token` is missing");
        let token = hello.token.as_deref().or(bearer).ok_or_else(missing);
        let verified = token.and_then(|token| self.context.router.services.authenticate(token));
        let principal = verified.map_err(|refusal| refusal.of_op("hello"))?;
        Ok(PendingSession {
            principal,
            device: hello.device.as_deref().map(Into::into),
            options: HelloOptions {
                id,
                subscribe: hello.subscribe,
                cursor: hello.cursor.as_deref().map(Into::into),
                client: hello.client.as_deref().map(Into::into),
                ignored: hello.ignored,
            },
        })
    }

    /// Accepts a session. All sessions of a user are on one worker: this one, or the connection
    /// moves to it.
    fn accept(&self, pending: PendingSession) -> HandlerAction {
        self.end_handshake();
        let router = &self.context.router;
        let key = RoutingKey::user(&pending.principal.user);
        if worker_of(&key, self.context.workers.len() as u32) != router.sessions.worker {
            *self.stage.borrow_mut() = Stage::Moving(Box::new(pending));
            return HandlerAction::Detach;
        }
        pending.open(&self.context, &self.link, &self.stage);
        HandlerAction::Continue
    }

    fn end_handshake(&self) {
        if let Stage::Handshaking(stranger) = self.stage.replace(Stage::Ended) {
            self.context.end_handshake(stranger.place);
        }
    }

    fn turn_away(
        &self,
        id: Option<&RequestId>,
        refusal: &ErrorReply,
        close: CloseReason,
    ) -> HandlerAction {
        // Nothing was queued before, so an error always fits.
        let _queued = self.link.push(OutboxItem::Text(refusal.frame(id).text()));
        self.context.router.services.metrics.sessions.closes(close.code());
        HandlerAction::Close(close.frame())
    }
}

fn too_large(bytes: usize, max: usize) -> ErrorReply {
    let message = format!("the frame has {bytes} bytes, at most {max} are allowed");
    ErrorReply::new(Code::TooLarge, message)
}

/// Removes all traces of an ended connection. Returns the session that is to move on, if there is
/// one.
pub(super) fn leave(context: &ConnectionContext, stage: &SharedStage) -> Option<PendingSession> {
    match stage.replace(Stage::Ended) {
        Stage::Handshaking(stranger) => context.end_handshake(stranger.place),
        Stage::Open(session) => context.router.leave(&session),
        Stage::Moving(pending) => return Some(*pending),
        Stage::Ended => {}
    }
    None
}
