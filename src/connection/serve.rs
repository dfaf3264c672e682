//! The task of one connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::context::{ConnectionContext, HELLO_BYTES_MAX, SessionPermits};
use super::handler::{HelloPending, SessionHandler, SharedStage, Stage, leave};
use crate::auth::Principal;
use crate::hub::Session;
use crate::limiter::{ConnectionMeter, HandshakePermit};
use crate::ops::HelloOptions;
use crate::protocol::CloseReason;
use crate::socket::{Connection, End, Link};

/// An accepted `hello` whose session is not open yet.
#[derive(Debug)]
pub(super) struct PendingSession {
    pub(super) principal: Principal,
    pub(super) device: Option<Box<str>>,
    pub(super) options: HelloOptions,
}

/// A connection that moves from one worker to another.
#[derive(Debug)]
pub struct Handoff {
    stream: std::net::TcpStream,
    unread: Bytes,
    pending: PendingSession,
    permits: SessionPermits,
}

impl PendingSession {
    /// Becomes a session of this worker, which charges its user for the `hello`.
    pub(super) fn open(self, context: &ConnectionContext, link: &Rc<Link>, stage: &SharedStage) {
        if context.is_draining() {
            return context.send_away(link);
        }
        if let Err(refusal) = context.router.charge_hello(&self.principal.user, &self.options) {
            return context.turn_away(
                link,
                self.options.id.as_ref(),
                &refusal,
                CloseReason::RateAbuse,
            );
        }
        let services = &context.router.services;
        let session = Rc::new(Session::new(
            services.next_session(),
            self.principal,
            self.device,
            Rc::clone(link),
            services.config.limits.session,
            Arc::clone(&services.patterns),
        ));
        *stage.borrow_mut() = Stage::Open(Rc::clone(&session));
        context.router.open(&session, &self.options);
        close_surplus(context, &session);
    }
}

/// Closes the oldest session of a user who has too many with the new one. All sessions of a user
/// are on one worker.
fn close_surplus(context: &ConnectionContext, newest: &Session) {
    let max = context.router.services.config.limits.user.sessions;
    let surplus = context.router.sessions.hub.borrow().surplus_session(&newest.user, max);
    if let Some(session) = surplus {
        context.router.services.metrics.sessions.closes(CloseReason::TooManySessions.code());
        // It receives nothing more, even if its client never answers the close frame.
        context.router.leave(&session);
        session.close(CloseReason::TooManySessions);
    }
}

/// A connection that was just upgraded.
#[derive(Debug)]
pub struct Upgraded {
    /// The connection's stream.
    pub stream: TcpStream,
    /// Bytes that were read behind the request.
    pub unread: Bytes,
    /// The token that the request carried.
    pub bearer: Option<Box<str>>,
    /// Its permit among the connections without a token.
    pub handshake: HandshakePermit,
    /// Its permits as a connection of the node and of its address.
    pub permits: SessionPermits,
}

/// Starts a new connection, and serves it here from its upgrade to its end.
pub fn serve_upgraded(
    context: Rc<ConnectionContext>,
    upgraded: Upgraded,
) -> impl Future<Output = ()> {
    let Upgraded { stream, unread, bearer, mut handshake, permits } = upgraded;
    if !unread.is_empty() {
        handshake.speak();
    }
    let (link, read) = open_link(&context, stream);
    let place = context.begin_handshake(&link);
    let stranger = Box::new(HelloPending { place, bearer, handshake });
    let stage: SharedStage = Rc::new(RefCell::new(Stage::Handshaking(stranger)));
    if context.is_draining() {
        context.send_away(&link);
    }
    let first_bytes = HELLO_BYTES_MAX.min(context.router.services.config.limits.frame_bytes);
    run(Served { context, stage, permits }, read, link, &unread, first_bytes)
}

/// Starts a session that another worker accepted, and serves it.
pub fn arrive(
    context: Rc<ConnectionContext>,
    handoff: Handoff,
) -> std::io::Result<impl Future<Output = ()>> {
    let stream = TcpStream::from_std(handoff.stream)?;
    let (link, read) = open_link(&context, stream);
    let stage: SharedStage = Rc::new(RefCell::new(Stage::Ended));
    handoff.pending.open(&context, &link, &stage);
    let first_bytes = context.router.services.config.limits.frames().message_bytes;
    let served = Served { context, stage, permits: handoff.permits };
    Ok(run(served, read, link, &handoff.unread, first_bytes))
}

fn open_link(context: &ConnectionContext, stream: TcpStream) -> (Rc<Link>, OwnedReadHalf) {
    let router = &context.router;
    Link::open(stream, router.services.config.limits.session.outbox_bytes, &router.sessions.share)
}

/// What a connection's task has beside the connection.
struct Served {
    context: Rc<ConnectionContext>,
    stage: SharedStage,
    permits: SessionPermits,
}

/// Runs the task of a connection. There may be a hundred thousand such tasks, nearly all of them
/// idle. So a task holds the connection once, polled in place, and the end, which is larger, in a
/// box. The first message has at most `first_bytes`.
fn run(
    served: Served,
    read: OwnedReadHalf,
    link: Rc<Link>,
    unread: &[u8],
    first_bytes: u32,
) -> impl Future<Output = ()> + use<> {
    let peer = SessionHandler {
        context: Rc::clone(&served.context),
        link: Rc::clone(&link),
        stage: Rc::clone(&served.stage),
        meter: ConnectionMeter::default(),
    };
    let limits = served.context.router.services.config.limits.frames();
    let mut connection = Connection::new(read, link, limits, peer, unread).bound_first(first_bytes);
    async move {
        let end = poll_fn(|cx| served.poll(&mut connection, cx)).await;
        Box::pin(finish(served, end)).await;
    }
}

impl Served {
    /// Serves the connection to its end. Returns `None` if it was ended to make room for another
    /// one.
    fn poll(
        &self,
        connection: &mut Connection<SessionHandler>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<End>> {
        if self.is_ended(cx) {
            self.context.router.services.metrics.sessions.closes(CloseReason::Overloaded.code());
            connection.link().close(CloseReason::Overloaded.frame());
            return Poll::Ready(None);
        }
        let end = Pin::new(&mut *connection).poll(cx);
        if let Stage::Handshaking(stranger) = &mut *self.stage.borrow_mut()
            && connection.link().is_heard()
        {
            stranger.handshake.speak();
        }
        end.map(Some)
    }

    fn is_ended(&self, cx: &mut Context<'_>) -> bool {
        match &mut *self.stage.borrow_mut() {
            Stage::Handshaking(stranger) => stranger.handshake.poll_ended(cx).is_ready(),
            _ => false,
        }
    }
}

async fn finish(served: Served, end: Option<End>) {
    let Served { context, stage, permits } = served;
    let moving = leave(&context, &stage);
    match end {
        Some(End::Detached { stream, unread }) => {
            if let (Some(pending), Ok(stream)) = (moving, stream.into_std()) {
                hand_on(&context, Handoff { stream, unread, pending, permits }).await;
            }
        }
        end => tracing::debug!(?end, "connection ended"),
    }
}

async fn hand_on(context: &ConnectionContext, handoff: Handoff) {
    let key = crate::domain::RoutingKey::user(&handoff.pending.principal.user);
    let worker = crate::layout::worker_of(&key, context.workers.len() as u32);
    // If that worker is gone, the node is stopping, and the client reconnects to another node.
    let _ending = context.workers[worker as usize].send(handoff).await;
}
