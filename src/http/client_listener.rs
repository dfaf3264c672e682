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
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::api::Api;
use super::bearer::bearer_of;
use super::connection_client::ConnectionClient;
use super::cors::Origins;
use super::handshake::Handshake;
use super::health::{self, Asker};
use super::problem::{Problem, end_after};
use crate::auth;
use crate::config::ListenConfig;
use crate::connection::{ConnectionContext, SessionPermits, Upgraded, serve_upgraded};
use crate::domain::UserId;
use crate::health::Readiness;
use crate::limiter::{Addresses, Admitted, ConnectionPermit, Connections, KeyedPermits};
use crate::ops::Router;
use crate::protocol::{Code, ErrorReply, SUBPROTOCOL};
use crate::socket::{self, HttpStream, HttpWaits, NoProxyHeader};
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
    permits: PortPermits,
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
    /// The log of connections that balancers did not begin as they must.
    pub proxy_log: Arc<LogThrottle>,
}

/// A connection that was admitted.
struct Accepted {
    stream: TcpStream,
    client: ConnectionClient,
    connection: ConnectionPermit,
    handshake: Handshake,
}

impl ClientPort {
    /// Makes one worker's end. Accepted sessions become part of `front`; API requests go to workers
    /// by `worker_calls`.
    pub fn new(
        front: Rc<ConnectionContext>,
        readiness: Arc<Readiness>,
        permits: PortPermits,
        worker_calls: WorkerCalls<Rc<Router>>,
    ) -> Self {
        let config = &front.router.services.config;
        let origins = Origins::new(config.listen.origins.clone());
        let api = Api {
            services: Arc::clone(&front.router.services),
            readiness: Arc::clone(&readiness),
            worker_calls,
            origins: origins.clone(),
            users: Arc::clone(&permits.users),
            body: config.timeouts.body,
        };
        let waits = config.timeouts.http;
        Self { front, readiness, permits, origins, waits, api }
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
                    if let Some(count) = self.permits.accept_log.count() {
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
        let peer = self.listen().trusted.judge(peer);
        let Some(admitted) = self.permits.connections.admit(peer.counted()) else { return false };
        let Admitted { connection, handshake, in_place } = admitted;
        let client = ConnectionClient::new(&self.permits.addresses, peer);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let handshake = Handshake::new(handshake);
        let accepted = Accepted { stream, client, connection, handshake };
        tokio::task::spawn_local(Rc::clone(self).serve(accepted));
        in_place
    }

    /// Speaks HTTP until the upgrade. The session gets its own task, so that nothing of this one is
    /// kept.
    async fn serve(self: Rc<Self>, accepted: Accepted) {
        let Accepted { stream, client, connection, handshake } = accepted;
        let bearer: RefCell<Option<Box<str>>> = RefCell::new(None);
        let respond = async |request: Request<Incoming>| {
            self.read_forwarded(request.headers(), &client, &handshake);
            let answer = self.respond(request, &client, &handshake, &bearer).await;
            self.answered(handshake.bound(answer), &client, &handshake)
        };
        let heard = || handshake.speak();
        let http = async {
            let mut stream = HttpStream::from(stream);
            if !self.read_proxy_header(&mut stream, &client, &handshake).await {
                return Ok(None);
            }
            if stream.has_unread() {
                handshake.speak();
            }
            socket::serve_heard_http1(stream, self.waits, &heard, respond).await
        };
        let served = tokio::select! {
            served = http => served,
            () = poll_fn(|cx| handshake.poll_ended(cx)) => Ok(None),
        };
        let address = client.address();
        match served {
            Ok(Some((stream, unread))) => {
                let again = || self.permits.connections.begin_again(client.counted());
                let Some(mut handshake) = handshake.into_permit().or_else(again) else { return };
                let Some(permit) = client.into_permit() else { return };
                handshake.upgrade();
                let bearer = bearer.take();
                let permits = SessionPermits::new(connection, permit);
                let upgraded = Upgraded { stream, unread, bearer, handshake, permits };
                tokio::task::spawn_local(serve_upgraded(Rc::clone(&self.front), upgraded));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, %address, "a handshake failed"),
        }
    }

    /// Reads the PROXY header of a connection that must have one. Returns false if the connection is
    /// over.
    async fn read_proxy_header(
        &self,
        stream: &mut HttpStream,
        client: &ConnectionClient,
        handshake: &Handshake,
    ) -> bool {
        let ListenConfig { proxy_protocol, trusted, .. } = self.listen();
        let peer = client.address();
        if !proxy_protocol || peer.counted().is_some() {
            return true;
        }
        match stream.read_proxy_header(self.waits.header).await {
            Ok(None) => true,
            Ok(Some(address)) => {
                client.proxied(trusted.judge(address));
                handshake.assign(client.counted());
                true
            }
            Err(NoProxyHeader::Refused(error)) => {
                self.front.router.services.metrics.listeners.refused_proxy_headers.inc();
                if let Some(count) = self.permits.proxy_log.count() {
                    tracing::warn!(%error, %peer, count, "connections of balancers were refused");
                }
                true
            }
            Err(NoProxyHeader::Broken(error)) => {
                tracing::debug!(%error, %peer, "a connection ended before its PROXY header");
                false
            }
        }
    }

    /// Reads who a request of a balancer is for. A balancer that sends PROXY headers passes on what
    /// its clients wrote, so their word is not taken.
    fn read_forwarded(
        &self,
        headers: &HeaderMap,
        client: &ConnectionClient,
        handshake: &Handshake,
    ) {
        let ListenConfig { proxy_protocol, trusted, .. } = self.listen();
        if !proxy_protocol && client.forwarded(headers, trusted) {
            handshake.assign(client.counted());
        }
    }

    /// Gives back what an answered request held, unless the connection becomes a session. While the
    /// node is being stopped, no connection waits for another request.
    fn answered<B>(
        &self,
        mut answer: Response<B>,
        client: &ConnectionClient,
        handshake: &Handshake,
    ) -> Response<B> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return answer;
        }
        if !self.listen().proxy_protocol && client.is_of_a_balancer() {
            client.answered();
            handshake.forget_user();
        }
        if self.readiness.is_stopping() {
            end_after(&mut answer);
        }
        answer
    }

    /// Answers one request. A health check is answered as always, because it may come from an
    /// address that has too many connections.
    async fn respond(
        &self,
        request: Request<Incoming>,
        client: &ConnectionClient,
        handshake: &Handshake,
        bearer: &RefCell<Option<Box<str>>>,
    ) -> Response<Full<Bytes>> {
        if let Some(response) = self.health(&request) {
            return response;
        }
        if client.is_crowded() {
            self.front.router.services.metrics.listeners.refused_addresses.inc();
            return crowded();
        }
        if request.uri().path() != WEBSOCKET_PATH {
            // In a box, because most connections only open a WebSocket and need no room for it.
            return Box::pin(self.api.respond(request, handshake)).await;
        }
        let token = bearer_of(request.headers());
        *bearer.borrow_mut() = token.map(Into::into);
        self.switch(&request, token)
    }

    fn listen(&self) -> &ListenConfig {
        &self.front.router.services.config.listen
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
        if let Some(state) = self.readiness.refusal() {
            let detail = format!("the node takes no sessions: it is {state}");
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
    problem.retry_after(CROWDED_RETRY).closing().response()
}
