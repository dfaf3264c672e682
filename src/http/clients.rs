//! The clients' listener.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::api::Api;
use super::bearer::bearer_of;
use super::cors::Origins;
use super::handshake::Handshake;
use super::health::{self, Asker};
use super::problem::Problem;
use super::readiness::Readiness;
use crate::limiter::Addresses;
use crate::protocol::{Code, Refusal, SUBPROTOCOL};
use crate::router::Errands;
use crate::session::{Front, Place, Upgraded, greet};
use crate::socket::{self, HttpWaits};

/// How long to wait after the listener refused, when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a WebSocket is opened; everything else is the HTTP API's.
const WEBSOCKET_PATH: &str = "/v1/ws";

/// When an address that has too many connections may try again: nobody knows when one of them ends,
/// so this only keeps the attempts apart.
const CROWDED_RETRY: Duration = Duration::from_secs(10);

/// The bounds of the clients' listener.
#[derive(Debug, Clone)]
pub struct ClientPortBounds {
    /// Browsers' origins that may connect; `*` is any.
    pub origins: Vec<String>,
    /// How long a request's header may take.
    pub header: Duration,
    /// How long a connection may wait for the next request.
    pub keep_alive: Duration,
    /// How long a request's body may take.
    pub body: Duration,
    /// How long a client may leave a full socket unread.
    pub write_stall: Duration,
}

/// One worker's end of the clients' listener.
#[derive(Debug)]
pub struct ClientPort {
    front: Rc<Front>,
    readiness: Arc<Readiness>,
    places: Places,
    origins: Origins,
    waits: HttpWaits,
    api: Api,
}

/// Places of the whole node.
#[derive(Debug, Clone)]
pub struct Places {
    /// For connections.
    pub connections: Arc<Semaphore>,
    /// For connections that were neither upgraded nor have shown a token: each for one request.
    pub handshakes: Arc<Semaphore>,
    /// For connections, by address.
    pub addresses: Arc<Addresses>,
}

impl ClientPort {
    /// What accepts becomes part of `front`, or asks workers by `errands`.
    pub fn new(
        front: Rc<Front>,
        readiness: Arc<Readiness>,
        places: Places,
        errands: Errands,
        bounds: ClientPortBounds,
    ) -> Self {
        let origins = Origins::new(bounds.origins);
        let api = Api {
            services: Arc::clone(&front.router.services),
            readiness: Arc::clone(&readiness),
            errands,
            origins: origins.clone(),
            body: bounds.body,
        };
        let waits = HttpWaits {
            header: bounds.header,
            keep_alive: bounds.keep_alive,
            write_stall: bounds.write_stall,
        };
        Self { front, readiness, places, origins, waits, api }
    }

    /// Accepts for ever.
    pub async fn run(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.begin(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Begins a connection; one that there is no place for is dropped before it costs anything.
    /// One whose address has too many is told so, in the time and place of a handshake.
    fn begin(self: &Rc<Self>, stream: TcpStream, peer: IpAddr) {
        let metrics = &self.front.router.services.metrics;
        let Ok(handshake) = Arc::clone(&self.places.handshakes).try_acquire_owned() else {
            return;
        };
        let address = self.places.addresses.take(peer);
        let is_crowded = address.is_none();
        let Some(place) = Place::take(&self.places.connections, metrics, address) else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        if is_crowded {
            metrics.refused_addresses.inc();
            tokio::task::spawn_local(Rc::clone(self).turn_away(stream, handshake, place));
        } else {
            tokio::task::spawn_local(Rc::clone(self).upgrade(stream, handshake, place));
        }
    }

    /// Speaks HTTP until the upgrade. The session gets a task of its own, so that nothing of
    /// this one is kept.
    async fn upgrade(self: Rc<Self>, stream: TcpStream, held: OwnedSemaphorePermit, place: Place) {
        let bearer: RefCell<Option<Box<str>>> = RefCell::new(None);
        let handshake = Handshake::new(held);
        let respond = async |request: Request<Incoming>| {
            if let Some(response) = self.health(&request) {
                return handshake.bound(response);
            }
            if request.uri().path() != WEBSOCKET_PATH {
                // In a box, since most connections only open a WebSocket and need no room for it.
                let response = Box::pin(self.api.respond(request, &handshake)).await;
                return handshake.bound(response);
            }
            *bearer.borrow_mut() = bearer_of(request.headers()).map(Into::into);
            handshake.bound(self.switch(&request))
        };
        let served = socket::serve_http1(stream, self.waits, respond).await;
        drop(handshake);
        match served {
            Ok(Some((stream, unread))) => {
                let upgraded = Upgraded { stream, unread, bearer: bearer.take(), place };
                tokio::task::spawn_local(greet(Rc::clone(&self.front), upgraded));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a handshake failed"),
        }
    }

    /// Answers one request: a balancer's for the health as always, since its address is that of all
    /// its clients.
    async fn turn_away(self: Rc<Self>, stream: TcpStream, held: OwnedSemaphorePermit, _: Place) {
        let handshake = Handshake::new(held);
        let respond = async |request: Request<Incoming>| {
            handshake.bound(self.health(&request).unwrap_or_else(crowded))
        };
        if let Err(error) = socket::serve_http1(stream, self.waits, respond).await {
            tracing::debug!(%error, "a connection was turned away");
        }
    }

    /// The answer to a request for the node's health.
    fn health<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let (method, path) = (request.method(), request.uri().path());
        health::answer(method, path, &self.readiness, Asker::Anybody)
    }

    fn switch<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (verdict, _) = self.readiness.verdict();
        if !verdict.takes_sessions() {
            let detail = format!("the node takes no sessions: {verdict:?}").to_lowercase();
            return Problem::from(Refusal::new(Code::Unavailable, detail)).response();
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
