use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::socket::close::code;

/// A socket that takes at most `chunk` bytes per write, and `room` bytes in all.
#[derive(Default)]
struct Socket {
    written: RefCell<Vec<u8>>,
    room: Cell<usize>,
    chunk: usize,
}

impl Socket {
    fn endless() -> Self {
        Self { room: Cell::new(usize::MAX), chunk: usize::MAX, ..Self::default() }
    }
}

impl OutboxSink for Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.chunk).min(self.room.get());
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.set(self.room.get() - length);
        self.written.borrow_mut().extend_from_slice(&bytes[..length]);
        Ok(length)
    }
}

/// A frame by the book.
fn encoded(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let head = match length {
        0..126 => vec![length as u8],
        126..65_536 => [vec![126], (length as u16).to_be_bytes().to_vec()].concat(),
        _ => [vec![127], (length as u64).to_be_bytes().to_vec()].concat(),
    };
    [vec![0x80 | opcode], head, payload.to_vec()].concat()
}

fn text(length: usize) -> OutboxItem {
    OutboxItem::Text(vec![b'x'; length].into())
}

#[derive(Clone, Debug)]
enum Step {
    Push { is_text: bool, length: usize, fill: u8 },
    Ping,
    Flush { room: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![0..200_usize, 100..2000_usize, 60_000..140_000_usize];
    prop_oneof![
        4 => (any::<bool>(), length, any::<u8>())
            .prop_map(|(is_text, length, fill)| Step::Push { is_text, length, fill }),
        1 => Just(Step::Ping),
        3 => prop_oneof![Just(0_usize), 1..300_usize, 1..200_000_usize]
            .prop_map(|room| Step::Flush { room }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_partial_writes_give_the_stream_of_the_model(
        steps in vec(step(), 1..40),
        chunk in prop_oneof![1..50_000_usize, Just(usize::MAX)],
    ) {
        const BOUND: usize = 300_000;
        let mut outbox = Outbox::new(BOUND);
        let mut socket = Socket { chunk, ..Socket::default() };
        let mut model = Vec::new();
        for step in steps {
            match step {
                Step::Flush { room } => {
                    socket.room.set(room);
                    let flushed = outbox.flush(&socket).unwrap();
                    prop_assert_eq!(flushed == Flush::Empty, outbox.bytes() == 0);
                }
                push => {
                    let (item, frame) = match push {
                        Step::Push { is_text, length, fill } => {
                            let payload = Bytes::from(vec![fill; length]);
                            let frame = encoded(2 - u8::from(is_text), &payload);
                            (if is_text { OutboxItem::Text(payload) } else { OutboxItem::Binary(payload) }, frame)
                        }
                        _ => (OutboxItem::Ping, encoded(9, b"")),
                    };
                    let wanted = outbox.bytes() + frame.len();
                    let full = Err(PushError::Full { wanted, bound: BOUND });
                    prop_assert_eq!(outbox.push(item), if wanted > BOUND { full } else { Ok(()) });
                    if wanted <= BOUND { model.extend(frame) }
                }
            }
            let written = socket.written.borrow();
            prop_assert_eq!(outbox.bytes(), model.len() - written.len());
            prop_assert!(model.starts_with(&written));
        }
        socket.room = Cell::new(usize::MAX);
        prop_assert_eq!(outbox.flush(&socket).unwrap(), Flush::Empty);
        prop_assert!(*socket.written.borrow() == model);
        prop_assert_eq!(outbox.queue.capacity(), 0);
    }
}

#[test]
fn headers_are_counted_as_they_are_written() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let mut outbox = Outbox::new(usize::MAX);
        outbox.push(text(length)).unwrap();
        let waiting = outbox.bytes();
        let socket = Socket::endless();
        outbox.flush(&socket).unwrap();
        assert_eq!(*socket.written.borrow(), encoded(1, &vec![b'x'; length]));
        assert_eq!(waiting, socket.written.borrow().len());
    }
}

#[test]
fn nothing_follows_a_close_and_a_close_always_fits() {
    let mut outbox = Outbox::new(10);
    outbox.push(text(8)).unwrap();
    assert_eq!(outbox.push(OutboxItem::Ping), Err(PushError::Full { wanted: 12, bound: 10 }));
    outbox.push(OutboxItem::Close(CloseFrame::new(4102, "slow"))).unwrap();
    assert_eq!(outbox.close_code(), Some(4102));
    assert_eq!(outbox.push(OutboxItem::Ping), Err(PushError::Closed));
    let again = OutboxItem::Close(CloseFrame::new(code::NORMAL, ""));
    assert_eq!(outbox.push(again), Err(PushError::Closed));
    let socket = Socket::endless();
    outbox.flush(&socket).unwrap();
    let expected = [encoded(1, b"xxxxxxxx"), encoded(8, b"\x10\x06slow")].concat();
    assert_eq!(*socket.written.borrow(), expected);
}

#[test]
fn a_discard_keeps_the_frame_that_is_half_written() {
    let mut outbox = Outbox::new(1000);
    for length in [10, 20, 30] {
        outbox.push(text(length)).unwrap();
    }
    let socket = Socket { room: Cell::new(5), ..Socket::endless() };
    assert_eq!(outbox.flush(&socket).unwrap(), Flush::Blocked);
    outbox.discard();
    assert_eq!(outbox.bytes(), 12 - 5);
    socket.room.set(usize::MAX);
    assert_eq!(outbox.flush(&socket).unwrap(), Flush::Empty);
    assert_eq!(*socket.written.borrow(), encoded(1, &[b'x'; 10]));
}

#[test]
fn a_discard_between_frames_drops_all() {
    let mut outbox = Outbox::new(1000);
    outbox.push(text(10)).unwrap();
    outbox.discard();
    assert_eq!((outbox.bytes(), outbox.queue.capacity()), (0, 0));
}

#[test]
fn pongs_do_not_pile_up() {
    let pong = |number: usize| OutboxItem::Pong(vec![b'p'; number].into());
    let mut outbox = Outbox::new(usize::MAX);
    for number in 0..100 {
        outbox.push(pong(number)).unwrap();
    }
    let socket = Socket::endless();
    let waiting = outbox.bytes();
    outbox.flush(&socket).unwrap();
    let kept = (0..PONGS_QUEUED_MAX - 1).chain([99]);
    let expected: Vec<u8> = kept.flat_map(|number| encoded(10, &vec![b'p'; number])).collect();
    assert_eq!(*socket.written.borrow(), expected);
    assert_eq!(waiting, expected.len());
    outbox.push(pong(1)).unwrap();
    assert_eq!(outbox.bytes(), 3);
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    struct Stuck;
    impl OutboxSink for Stuck {
        fn try_write(&self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }
    }
    let mut outbox = Outbox::new(100);
    outbox.push(OutboxItem::Ping).unwrap();
    assert_eq!(outbox.flush(&Stuck).unwrap_err().kind(), io::ErrorKind::WriteZero);
}
