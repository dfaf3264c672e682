//! The clients' listener.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, ORIGIN};
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::problem;
use super::readiness::Readiness;
use crate::protocol::SUBPROTOCOL;
use crate::session::{Front, Place, Upgraded, greet};
use crate::socket;

/// How long to wait after the listener refused, when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of the clients' listener.
#[derive(Debug, Clone)]
pub struct ClientPortBounds {
    /// Browsers' origins that may connect; `*` is any.
    pub origins: Vec<String>,
    /// How long a request's head may take.
    pub header: Duration,
}

/// One worker's end of the clients' listener.
#[derive(Debug)]
pub struct ClientPort {
    /// What connections become part of.
    pub front: Rc<Front>,
    /// Whether the node takes sessions.
    pub readiness: Arc<Readiness>,
    /// Places for connections, of the whole node.
    pub connections: Arc<Semaphore>,
    /// Places for connections that are not upgraded, of the whole node.
    pub handshakes: Arc<Semaphore>,
    /// The bounds.
    pub bounds: ClientPortBounds,
}

impl ClientPort {
    /// Accepts for ever.
    pub async fn run(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.begin(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Begins a connection; one that there is no place for is dropped before it costs anything.
    fn begin(self: &Rc<Self>, stream: TcpStream) {
        let metrics = &self.front.router.services.metrics;
        let Ok(handshake) = Arc::clone(&self.handshakes).try_acquire_owned() else { return };
        let Some(place) = Place::take(&self.connections, metrics) else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        tokio::task::spawn_local(Rc::clone(self).upgrade(stream, handshake, place));
    }

    /// Speaks HTTP until the upgrade. The session gets a task of its own, so that nothing of
    /// this one is kept.
    async fn upgrade(self: Rc<Self>, stream: TcpStream, held: OwnedSemaphorePermit, place: Place) {
        let bearer = RefCell::new(None);
        let respond = async |request: Request<Incoming>| {
            let response = self.respond(&request);
            *bearer.borrow_mut() = bearer_of(request.headers());
            response
        };
        let served = socket::serve_http1(stream, self.bounds.header, respond).await;
        drop(held);
        match served {
            Ok(Some((stream, unread))) => {
                let upgraded = Upgraded { stream, unread, bearer: bearer.take(), place };
                tokio::task::spawn_local(greet(Rc::clone(&self.front), upgraded));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a handshake failed"),
        }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/v1/ws" {
            return problem(StatusCode::NOT_FOUND, "there is only /v1/ws here");
        }
        let (verdict, _) = self.readiness.verdict();
        if !verdict.takes_sessions() {
            let detail = format!("the node takes no sessions: {verdict:?}").to_lowercase();
            return problem(StatusCode::SERVICE_UNAVAILABLE, &detail);
        }
        if !self.allows_origin(request.headers()) {
            let detail = "this origin may not connect: `listen.origins` does not name it";
            return problem(StatusCode::FORBIDDEN, detail);
        }
        match socket::check(request, &[SUBPROTOCOL]) {
            Ok(accept) => accept.response(),
            Err(refusal) => refusal.response(),
        }
    }

    /// A client without an origin is no browser.
    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        let allowed = |origin: &[u8]| {
            self.bounds.origins.iter().any(|known| known == "*" || known.as_bytes() == origin)
        };
        headers.get_all(ORIGIN).iter().all(|origin| allowed(origin.as_bytes()))
    }
}

fn bearer_of(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().into())
}
