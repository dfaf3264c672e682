//! The task of one connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::front::{Front, Place};
use super::peer::{Peer, Seat, Stage, leave};
use crate::auth::Principal;
use crate::hub::Session;
use crate::limiter::Meter;
use crate::protocol::Close;
use crate::router::Wishes;
use crate::socket::{Connection, End, Link};

/// Somebody who was let in, on his way to a session.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) principal: Principal,
    pub(super) device: Option<Box<str>>,
    pub(super) wishes: Wishes,
}

/// A connection handed from one worker to another.
#[derive(Debug)]
pub struct Arrival {
    stream: std::net::TcpStream,
    unread: Bytes,
    newcomer: Newcomer,
    place: Place,
}

impl Newcomer {
    /// Becomes a session of this worker.
    pub(super) fn open(self, front: &Front, link: &Rc<Link>, seat: &Seat) {
        if front.is_draining() {
            return front.send_away(link);
        }
        if let Err(refusal) = front.router.charge_hello(&self.principal.user, &self.wishes) {
            return front.turn_away(link, self.wishes.id.as_ref(), &refusal, Close::RateAbuse);
        }
        let services = &front.router.services;
        let session = Rc::new(Session::new(
            services.next_session(),
            self.principal,
            self.device,
            Rc::clone(link),
            services.session_bounds,
            Arc::clone(&services.patterns),
        ));
        *seat.borrow_mut() = Stage::Open(Rc::clone(&session));
        front.router.open(&session, &self.wishes);
    }
}

/// A connection that was just upgraded.
#[derive(Debug)]
pub struct Upgraded {
    /// Its stream.
    pub stream: TcpStream,
    /// What was read behind the request.
    pub unread: Bytes,
    /// The token that the request carried.
    pub bearer: Option<Box<str>>,
    /// Its place among the node's connections.
    pub place: Place,
}

/// Begins a fresh connection, and serves it from its upgrade to its end here.
pub fn greet(front: Rc<Front>, upgraded: Upgraded) -> impl Future<Output = ()> {
    let Upgraded { stream, unread, bearer, place: held } = upgraded;
    let (link, read) = open_link(&front, stream);
    let place = front.begin_greeting(&link);
    let seat: Seat = Rc::new(RefCell::new(Stage::Greeting { place, bearer }));
    if front.is_draining() {
        front.send_away(&link);
    }
    run(Served { front, seat, place: held }, read, link, &unread)
}

/// Begins a session that another worker let in, and serves it.
pub fn arrive(front: Rc<Front>, arrival: Arrival) -> std::io::Result<impl Future<Output = ()>> {
    let stream = TcpStream::from_std(arrival.stream)?;
    let (link, read) = open_link(&front, stream);
    let seat: Seat = Rc::new(RefCell::new(Stage::Ended));
    arrival.newcomer.open(&front, &link, &seat);
    Ok(run(Served { front, seat, place: arrival.place }, read, link, &arrival.unread))
}

fn open_link(front: &Front, stream: TcpStream) -> (Rc<Link>, OwnedReadHalf) {
    let router = &front.router;
    Link::open(stream, router.services.session_bounds.outbox_bytes, &router.share)
}

/// What a connection's task keeps beside the connection.
struct Served {
    front: Rc<Front>,
    seat: Seat,
    place: Place,
}

/// The task of a connection. There may be a hundred thousand of it, nearly all of them idle: it
/// holds the connection once, polled where it lies, and the end, which is larger, in a box.
fn run(
    served: Served,
    read: OwnedReadHalf,
    link: Rc<Link>,
    unread: &[u8],
) -> impl Future<Output = ()> + use<> {
    let peer = Peer {
        front: Rc::clone(&served.front),
        link: Rc::clone(&link),
        seat: Rc::clone(&served.seat),
        meter: Meter::default(),
    };
    let mut connection = Connection::new(read, link, served.front.bounds.frames, peer, unread);
    async move {
        let end = (&mut connection).await;
        Box::pin(finish(served, end)).await;
    }
}

async fn finish(served: Served, end: End) {
    let Served { front, seat, place } = served;
    let moving = leave(&front, &seat);
    match end {
        End::Detached { stream, unread } => {
            if let (Some(newcomer), Ok(stream)) = (moving, stream.into_std()) {
                hand_on(&front, Arrival { stream, unread, newcomer, place }).await;
            }
        }
        end => tracing::debug!(?end, "connection ended"),
    }
}

async fn hand_on(front: &Front, arrival: Arrival) {
    let key = crate::domain::Key::user(&arrival.newcomer.principal.user);
    let worker = crate::layout::worker_of(&key, front.workers.len() as u32);
    // A worker that is gone means a node that is ending: the client comes back elsewhere.
    let _ending = front.workers[worker as usize].send(arrival).await;
}
