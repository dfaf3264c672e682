use std::cell::RefCell;
use std::future::poll_fn;

use socket2::SockRef;
use tokio::task::{JoinHandle, spawn_local, yield_now};

use super::*;
use crate::socket::WorkerShare;
use crate::socket::assembly::ClientMessage;
use crate::socket::outbox::PushError;
use crate::socket::peer::{TestPeer, on_event_loop, pair, text};

mod breaches;
mod ends;
mod pressure;

const LIMITS: FrameLimits =
    FrameLimits { frame_bytes: 100_000, message_bytes: 150_000, fragments: 8 };
const OUTBOX_BYTES: usize = 1 << 20;

/// The payload of a ping or pong that an [`Obedient`] ends a connection for.
const ENDING_BYTES: usize = 99;

type Seen = Rc<RefCell<Vec<String>>>;

/// Echoes every text, and obeys those that name an action.
struct Obedient {
    link: Rc<Link>,
    seen: Seen,
}

impl Handler for Obedient {
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction {
        let ClientMessage::Text(text) = message else {
            return HandlerAction::Close((&ProtocolViolation::Binary).into());
        };
        self.seen.borrow_mut().push(text.to_owned());
        match text {
            "pause" => HandlerAction::Pause,
            "drain" => HandlerAction::Drain,
            "close" => HandlerAction::Close(CloseFrame::new(4000, "as you wish")),
            "detach" => HandlerAction::Detach,
            _ => {
                let echo = OutboxItem::Text(Bytes::copy_from_slice(text.as_bytes()));
                self.link.push(echo).expect("room for an echo");
                HandlerAction::Continue
            }
        }
    }

    fn other(&mut self, bytes: usize) -> HandlerAction {
        self.seen.borrow_mut().push(format!("another of {bytes}"));
        let ends = bytes == ENDING_BYTES;
        if ends {
            HandlerAction::Close(CloseFrame::new(4000, "as you wish"))
        } else {
            HandlerAction::Continue
        }
    }
}

/// A served connection and its client.
struct Served {
    peer: TestPeer,
    link: Rc<Link>,
    seen: Seen,
    task: JoinHandle<End>,
}

impl Served {
    async fn new() -> Self {
        let (stream, peer) = pair().await;
        let (connection, link, seen) = obedient(stream, b"");
        Self { peer, link, seen, task: spawn_local(connection) }
    }

    /// A served connection with small kernel buffers.
    async fn narrow() -> Self {
        let (stream, peer) = pair().await;
        SockRef::from(&stream).set_send_buffer_size(4096).expect("a smaller buffer");
        let (connection, link, seen) = obedient(stream, b"");
        Self { peer, link, seen, task: spawn_local(connection) }
    }

    /// Lets the event loop run until exactly these messages were delivered.
    async fn until_seen(&self, expected: &[&str]) {
        while self.seen.borrow().len() < expected.len() {
            yield_now().await;
        }
        assert_eq!(*self.seen.borrow(), expected);
    }

    /// Returns why it ended, after the client is gone.
    async fn end(self) -> End {
        drop(self.peer);
        self.task.await.expect("the task does not panic")
    }
}

fn obedient(stream: TcpStream, unread: &[u8]) -> (Connection<Obedient>, Rc<Link>, Seen) {
    let (link, read) = Link::open(stream, OUTBOX_BYTES, &Rc::new(WorkerShare::alone(usize::MAX)));
    let seen = Seen::default();
    let handler = Obedient { link: link.clone(), seen: seen.clone() };
    (Connection::new(read, link.clone(), LIMITS, handler, unread), link, seen)
}

fn push_text(link: &Link, text: &str) -> Result<(), PushError> {
    link.push(OutboxItem::Text(Bytes::copy_from_slice(text.as_bytes())))
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection<Rc<()>>>() <= 80, "{}", size_of::<Connection<Rc<()>>>());
    assert!(size_of::<Link>() <= 168, "{}", size_of::<Link>());
}

#[test]
fn messages_of_every_size_are_echoed() {
    on_event_loop(async {
        let mut served = Served::new().await;
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let word = "w".repeat(length);
            served.peer.send(&text(&word)).await;
            assert_eq!(served.peer.receive_text().await, word);
        }
    });
}

#[test]
fn bytes_behind_the_handshake_are_handled_first() {
    on_event_loop(async {
        let (stream, mut peer) = pair().await;
        let stream_bytes = [text("one"), text("two"), text("three")].concat();
        let (connection, ..) = obedient(stream, &stream_bytes[..20]);
        spawn_local(connection);
        peer.send(&stream_bytes[20..]).await;
        for word in ["one", "two", "three"] {
            assert_eq!(peer.receive_text().await, word);
        }
    });
}

#[test]
fn a_batch_leaves_in_order() {
    on_event_loop(async {
        let mut served = Served::new().await;
        let before = served.link.last_seen();
        push_text(&served.link, "a").unwrap();
        served.link.push(OutboxItem::Ping).unwrap();
        served.link.push(OutboxItem::Binary(Bytes::from_static(b"b"))).unwrap();
        assert_eq!(served.link.bytes(), 3 + 2 + 3);
        served.link.flush();
        assert_eq!(served.peer.receive_text().await, "a");
        assert_eq!(served.peer.receive().await, (fastwebsockets::OpCode::Ping, vec![]));
        assert_eq!(served.peer.receive().await, (fastwebsockets::OpCode::Binary, b"b".to_vec()));
        assert_eq!(served.link.last_seen(), before);
    });
}

#[test]
fn a_turn_is_bounded_in_frames() {
    on_event_loop(async {
        let (stream, mut peer) = pair().await;
        peer.send(&text("x").repeat(150)).await;
        stream.readable().await.unwrap();
        let (mut connection, _link, seen) = obedient(stream, b"");
        for handed_out in [64, 128, 150] {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx))).await;
            assert!(polled.is_pending());
            assert_eq!(seen.borrow().len(), handed_out);
        }
    });
}
