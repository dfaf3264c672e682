//! The clients' listener.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::api::Api;
use super::bearer::bearer_of;
use super::cors::Origins;
use super::handshake::Handshake;
use super::health::{self, Asker};
use super::problem::Problem;
use crate::auth;
use crate::connection::{ConnectionContext, SessionPermits, Upgraded, serve_upgraded};
use crate::domain::UserId;
use crate::health::Readiness;
use crate::limiter::{Addresses, Admitted, Connections, HandshakePermit, KeyedPermits};
use crate::ops::Router;
use crate::protocol::{Code, ErrorReply, SUBPROTOCOL};
use crate::socket::{self, HttpWaits};
use crate::telemetry::LogThrottle;
use crate::worker_call::WorkerCalls;

/// How long to wait after an accept failed because the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a WebSocket is opened. Everything else belongs to the HTTP API.
const WEBSOCKET_PATH: &str = "/v1/ws";

/// When an address that has too many connections may try again. Nothing tells when one of them
/// ends, so this only keeps the attempts apart.
const CROWDED_RETRY: Duration = Duration::from_secs(10);

/// One worker's end of the clients' listener.
#[derive(Debug)]
pub struct ClientPort {
    front: Rc<ConnectionContext>,
    readiness: Arc<Readiness>,
    places: PortPermits,
    origins: Origins,
    waits: HttpWaits,
    api: Api,
}

/// The permits of the whole node.
#[derive(Debug, Clone)]
pub struct PortPermits {
    /// For connections, and for those among them that have shown no token.
    pub connections: Arc<Connections>,
    /// For connections, by address.
    pub addresses: Arc<Addresses>,
    /// For connections on which users show their tokens over HTTP, by user.
    pub users: Arc<KeyedPermits<UserId>>,
    /// The log of connections that could not be accepted.
    pub accept_log: Arc<LogThrottle>,
}

/// A connection that was admitted.
struct Accepted {
    stream: TcpStream,
    peer: IpAddr,
    place: SessionPermits,
}

impl ClientPort {
    /// Makes one worker's end. Accepted sessions become part of `front`; API requests go to workers
    /// by `worker_calls`.
    pub fn new(
        front: Rc<ConnectionContext>,
        readiness: Arc<Readiness>,
        places: PortPermits,
        worker_calls: WorkerCalls<Rc<Router>>,
    ) -> Self {
        let config = &front.router.services.config;
        let origins = Origins::new(config.listen.origins.clone());
        let api = Api {
            services: Arc::clone(&front.router.services),
            readiness: Arc::clone(&readiness),
            worker_calls,
            origins: origins.clone(),
            users: Arc::clone(&places.users),
            body: config.timeouts.body,
        };
        let waits = config.timeouts.http;
        Self { front, readiness, places, origins, waits, api }
    }

    /// Accepts connections until it is dropped.
    pub async fn run(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if self.begin(stream, peer.ip()) {
                        // The connection that was ended for it closes its socket before the next
                        // one is accepted.
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => {
                    self.front.router.services.metrics.listeners.accept_errors.inc();
                    if let Some(count) = self.places.accept_log.count() {
                        tracing::warn!(%error, count, "cannot accept connections of clients");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Begins a connection, unless there is no permit for it. One whose address has too many gets
    /// an error within the time and permit of a handshake. Returns whether another connection is
    /// ended for it.
    fn begin(self: &Rc<Self>, stream: TcpStream, peer: IpAddr) -> bool {
        let Some(admitted) = self.places.connections.admit(peer) else { return false };
        let Admitted { connection, handshake, in_place } = admitted;
        let address = self.places.addresses.take(peer);
        let is_crowded = address.is_none();
        let place = SessionPermits::new(connection, address);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let accepted = Accepted { stream, peer, place };
        if is_crowded {
            self.front.router.services.metrics.listeners.refused_addresses.inc();
            tokio::task::spawn_local(Rc::clone(self).turn_away(accepted, handshake));
        } else {
            tokio::task::spawn_local(Rc::clone(self).upgrade(accepted, handshake));
        }
        in_place
    }

    /// Speaks HTTP until the upgrade. The session gets its own task, so that nothing of this one is
    /// kept.
    async fn upgrade(self: Rc<Self>, accepted: Accepted, permit: HandshakePermit) {
        let Accepted { stream, peer, place } = accepted;
        let bearer: RefCell<Option<Box<str>>> = RefCell::new(None);
        let handshake = Handshake::new(permit);
        let respond = async |request: Request<Incoming>| {
            if let Some(response) = self.health(&request) {
                return handshake.bound(response);
            }
            if request.uri().path() != WEBSOCKET_PATH {
                // In a box, because most connections only open a WebSocket and need no room for it.
                let response = Box::pin(self.api.respond(request, &handshake)).await;
                return handshake.bound(response);
            }
            let token = bearer_of(request.headers());
            *bearer.borrow_mut() = token.map(Into::into);
            handshake.bound(self.switch(&request, token))
        };
        let heard = || handshake.speak();
        let served = tokio::select! {
            served = socket::serve_heard_http1(stream, self.waits, &heard, respond) => served,
            () = poll_fn(|cx| handshake.poll_ended(cx)) => Ok(None),
        };
        match served {
            Ok(Some((stream, unread))) => {
                let again = || self.places.connections.begin_again(peer);
                let Some(mut handshake) = handshake.into_permit().or_else(again) else { return };
                handshake.upgrade();
                let bearer = bearer.take();
                let upgraded = Upgraded { stream, unread, bearer, handshake, place };
                tokio::task::spawn_local(serve_upgraded(Rc::clone(&self.front), upgraded));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a handshake failed"),
        }
    }

    /// Answers one request. A load balancer's health check is answered as always, because its
    /// address is that of all its clients.
    async fn turn_away(self: Rc<Self>, accepted: Accepted, permit: HandshakePermit) {
        let Accepted { stream, place: _held, .. } = accepted;
        let handshake = Handshake::new(permit);
        let respond = async |request: Request<Incoming>| {
            handshake.bound(self.health(&request).unwrap_or_else(crowded))
        };
        let heard = || handshake.speak();
        let served = tokio::select! {
            served = socket::serve_heard_http1(stream, self.waits, &heard, respond) => served,
            () = poll_fn(|cx| handshake.poll_ended(cx)) => Ok(None),
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection was turned away");
        }
    }

    /// Answers a request for the node's health; none if it is another request.
    fn health<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let (method, path) = (request.method(), request.uri().path());
        health::answer(method, path, &self.readiness, Asker::Anybody)
    }

    /// Opens a WebSocket. A token that no `hello` could use is refused at once and not kept until
    /// then.
    fn switch<B>(&self, request: &Request<B>, token: Option<&str>) -> Response<Full<Bytes>> {
        if let Some(Err(error)) = token.map(auth::check_length) {
            let refusal = ErrorReply::new(Code::Unauthorized, error.to_string());
            return Problem::from(refusal).response();
        }
        let (verdict, _) = self.readiness.verdict();
        if !verdict.takes_sessions() {
            let detail = format!("the node takes no sessions: it is {verdict}");
            return Problem::from(ErrorReply::new(Code::Unavailable, detail)).response();
        }
        if !self.origins.allow(request.headers()) {
            return Problem::from(Origins::refusal()).response();
        }
        match socket::check(request, &[SUBPROTOCOL]) {
            Ok(accept) => accept.response(),
            Err(refusal) => refusal.response(),
        }
    }
}

fn crowded() -> Response<Full<Bytes>> {
    let detail = "this address has as many connections as `rates.connections_per_address` allows";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail);
    problem.retry_after(CROWDED_RETRY).response()
}
