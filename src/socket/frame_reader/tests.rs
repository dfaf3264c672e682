use fastwebsockets::OpCode;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::socket::assembly::{Assembly, ClientMessage, Part};
use crate::socket::peer::{client_frame, text};

const LIMITS: FrameLimits = FrameLimits { frame_bytes: 300, message_bytes: 600, fragments: 5 };

/// What a connection would see.
#[derive(Debug, PartialEq)]
enum Seen {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Close(u16),
}

#[derive(Debug, PartialEq)]
enum Stop {
    Breach(ProtocolViolation),
    Wanted,
}

impl From<ProtocolViolation> for Stop {
    fn from(violation: ProtocolViolation) -> Self {
        Self::Breach(violation)
    }
}

/// A reader and an assembly on top of it, recording.
#[derive(Default)]
struct Session {
    intake: FrameReader,
    assembly: Assembly,
    seen: Vec<Seen>,
}

impl Session {
    fn feed(&mut self, data: &[u8], stop_after: usize) -> Result<(), Stop> {
        let Self { intake, assembly, seen } = self;
        let mut left = stop_after;
        intake.feed(&mut data.to_vec(), &LIMITS, &mut |head, payload| {
            seen.extend(record(assembly.accept(head, payload, &LIMITS)?));
            left -= 1;
            if left == 0 { Err(Stop::Wanted) } else { Ok(()) }
        })
    }

    /// Feeds one read, and what was kept while the receiver stops every `step` frames.
    fn read(&mut self, data: &[u8], step: usize) -> Result<(), ProtocolViolation> {
        let mut outcome = self.feed(data, step);
        while outcome == Err(Stop::Wanted) && self.intake.is_ready(&LIMITS) {
            outcome = self.feed(&[], step);
        }
        match outcome {
            Err(Stop::Breach(violation)) => Err(violation),
            Ok(()) | Err(Stop::Wanted) => Ok(()),
        }
    }
}

fn record(part: Part<'_>) -> Option<Seen> {
    match part {
        Part::Fragment | Part::Pong(_) => None,
        Part::Message(message) => Some(Seen::Message(bytes(message))),
        Part::Assembled(whole) => Some(Seen::Message(bytes(whole.message()))),
        Part::Ping(payload) => Some(Seen::Ping(payload.to_vec())),
        Part::Close(code) => Some(Seen::Close(code)),
    }
}

fn bytes(message: ClientMessage<'_>) -> Vec<u8> {
    match message {
        ClientMessage::Text(text) => text.as_bytes().to_vec(),
        ClientMessage::Binary(bytes) => bytes.to_vec(),
    }
}

/// A stream of frames, mostly valid, with now and then a frame that breaks a rule.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop::sample::select(vec![
        OpCode::Text,
        OpCode::Text,
        OpCode::Binary,
        OpCode::Continuation,
        OpCode::Ping,
        OpCode::Pong,
    ]);
    let payload = prop_oneof![
        vec(0_u8..0x80, 0..20),
        vec(0_u8..0x80, 110..310),
        "[a-z\u{e9}\u{20ac}]{0,30}".prop_map(String::into_bytes),
    ];
    let frame = (prop::bool::weighted(0.8), opcode, payload)
        .prop_map(|(fin, opcode, payload)| client_frame(fin, opcode, &payload));
    vec(frame, 0..12).prop_map(|frames| frames.concat())
}

/// Cuts `bytes` into reads, cycling through `lengths`.
fn reads<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut cut = lengths.iter().cycle().map_while(|&length| {
        let (read, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        (!read.is_empty()).then_some(read)
    });
    cut.by_ref().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_split_into_reads_and_stops_gives_the_same(
        stream in stream(),
        lengths in vec(1_usize..400, 1..8),
        step in 1_usize..5,
    ) {
        let mut whole = Session::default();
        let expected = whole.read(&stream, usize::MAX);
        let mut split = Session::default();
        let mut outcome = Ok(());
        for read in reads(&stream, &lengths) {
            outcome = outcome.and_then(|()| split.read(read, step));
            prop_assert!(outcome.is_err() || split.intake.tail.len() < 300 + 14);
        }
        prop_assert_eq!(split.seen, whole.seen);
        prop_assert_eq!(&outcome, &expected);
        if outcome.is_ok() {
            prop_assert_eq!(split.intake.into_unread(), whole.intake.into_unread());
        }
    }
}

#[test]
fn reads_cut_the_whole_stream() {
    assert_eq!(reads(b"abcdefg", &[2, 3]), [&b"ab"[..], b"cde", b"fg"]);
}

#[test]
fn nothing_is_kept_after_whole_frames() {
    let mut session = Session::default();
    let stream = [text("one"), text("two")].concat();
    for byte in &stream {
        session.read(&[*byte], usize::MAX).unwrap();
    }
    session.read(&stream, usize::MAX).unwrap();
    let words = [b"one", b"two", b"one", b"two"];
    assert_eq!(session.seen, words.map(|word| Seen::Message(word.to_vec())));
    assert_eq!(session.intake.tail.capacity(), 0);
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_announced() {
    let mut session = Session::default();
    let frame = client_frame(true, OpCode::Binary, &[1; 300]);
    for (at, byte) in frame[..frame.len() - 1].iter().enumerate() {
        session.read(&[*byte], usize::MAX).unwrap();
        let capacity = session.intake.tail.capacity();
        assert!(capacity <= (2 * at).max(TAIL_BYTES_MIN), "{capacity} bytes for {}", at + 1);
        assert!(capacity <= frame.len());
    }
}

#[test]
fn an_announced_length_above_the_bound_reserves_nothing() {
    let mut session = Session::default();
    let violation = session.read(&[0x82, 0xfe, 0x01, 0x2d, 0, 0, 0, 0], usize::MAX);
    assert_eq!(violation, Err(ProtocolViolation::FrameLength { length: 301, bound: 300 }));
    assert_eq!(session.intake.tail.capacity(), 8);
}

#[test]
fn a_stop_keeps_the_rest_of_the_read() {
    let mut session = Session::default();
    let stream = [text("a"), text("b"), text("c")].concat();
    assert_eq!(session.feed(&stream[..10], 1), Err(Stop::Wanted));
    assert!(!session.intake.is_ready(&LIMITS));
    assert_eq!(session.feed(&stream[10..], 1), Err(Stop::Wanted));
    assert!(session.intake.is_ready(&LIMITS));
    assert_eq!(session.intake.into_unread(), text("c"));
}

#[test]
fn bytes_read_by_somebody_else_come_first() {
    let stream = [text("a"), text("b")].concat();
    let mut session = Session { intake: FrameReader::new(&stream[..9]), ..Session::default() };
    assert!(session.intake.is_ready(&LIMITS));
    session.read(&stream[9..], usize::MAX).unwrap();
    assert_eq!(session.seen, [Seen::Message(b"a".to_vec()), Seen::Message(b"b".to_vec())]);
}
