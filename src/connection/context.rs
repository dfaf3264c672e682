//! What the connections of one worker share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slab::Slab;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Handoff;
use crate::auth::TOKEN_BYTES_MAX;
use crate::limiter::{AddressPermit, ConnectionPermit, FrameRates};
use crate::ops::Router;
use crate::protocol::{CloseReason, ErrorReply, RequestId};
use crate::socket::{Link, OutboxItem};

/// Bytes that a `hello` may have beside its token. They are for an id and the name of a device of
/// 64 bytes each, six times that as JSON, a cursor, the names of the fields, and 3 KiB for
/// patterns.
const HELLO_FIELDS_BYTES: usize = 4096;

/// The most bytes of a `hello`, since it comes before any token.
pub const HELLO_BYTES_MAX: u32 = (TOKEN_BYTES_MAX + HELLO_FIELDS_BYTES) as u32;

/// The permits of a connection, from the node and from its address; given back when this is
/// dropped.
#[derive(Debug)]
pub struct SessionPermits {
    _connection: ConnectionPermit,
    _address: AddressPermit,
}

impl SessionPermits {
    /// Holds both permits.
    pub const fn new(connection: ConnectionPermit, address: AddressPermit) -> Self {
        Self { _connection: connection, _address: address }
    }
}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct ConnectionContext {
    /// The worker's ops.
    pub router: Rc<Router>,
    /// Senders of connections to all workers of the node, this one included.
    pub workers: Vec<mpsc::Sender<Handoff>>,
    /// The rates at which one connection may send frames.
    pub rates: FrameRates,
    pub(super) handshakes: RefCell<Slab<HelloDeadline>>,
    draining: Cell<bool>,
    since: Instant,
}

/// A connection that has not sent `hello`.
#[derive(Debug)]
pub(super) struct HelloDeadline {
    pub(super) link: Rc<Link>,
    pub(super) until: Instant,
}

impl ConnectionContext {
    /// Creates the context without connections.
    pub fn new(router: Rc<Router>, workers: Vec<mpsc::Sender<Handoff>>) -> Self {
        let rates = FrameRates::new(&router.services.config.rates);
        let (handshakes, draining) = (RefCell::default(), Cell::default());
        Self { router, workers, rates, handshakes, draining, since: Instant::now() }
    }

    /// Returns the nanoseconds from the creation of this context to `at`, for the meters.
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.since).as_nanos() as u64
    }

    /// Accepts no more sessions, and closes the connections that have not sent `hello`.
    pub fn drain(&self) {
        self.draining.set(true);
        let handshakes = self.handshakes.borrow();
        for (_, handshake) in handshakes.iter().filter(|(_, handshake)| handshake.link.is_open()) {
            self.send_away(&handshake.link);
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn send_away(&self, link: &Link) {
        self.router.services.metrics.sessions.closes(CloseReason::Draining.code());
        link.close(CloseReason::Draining.frame());
    }

    /// Sends a connection in its handshake the reason why it is rejected, and closes it.
    pub(super) fn turn_away(
        &self,
        link: &Link,
        id: Option<&RequestId>,
        refusal: &ErrorReply,
        close: CloseReason,
    ) {
        // Nothing was queued before, so an error always fits.
        let _queued = link.push(OutboxItem::Text(refusal.frame(id).text()));
        self.router.services.metrics.sessions.closes(close.code());
        link.close(close.frame());
    }

    /// Starts the deadline of a connection's `hello`.
    pub(super) fn begin_handshake(&self, link: &Rc<Link>) -> usize {
        let until = Instant::now() + self.router.services.config.timeouts.hello;
        self.handshakes.borrow_mut().insert(HelloDeadline { link: Rc::clone(link), until })
    }

    pub(super) fn end_handshake(&self, place: usize) {
        self.handshakes.borrow_mut().remove(place);
    }
}
