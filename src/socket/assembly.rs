//! Messages from frames (RFC 6455, section 5.4): order, totals, UTF-8.

use fastwebsockets::{Frame, OpCode, Payload};

use super::close::peer_code;
use super::frame::FrameHead;
use super::limits::FrameLimits;
use super::violation::ProtocolViolation;

/// A complete message of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

/// A message that came in several frames, so it could not stay in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembled {
    pub(super) fn message(&self) -> ClientMessage<'_> {
        match self {
            Self::Text(text) => ClientMessage::Text(text),
            Self::Binary(bytes) => ClientMessage::Binary(bytes),
        }
    }
}

/// The meaning of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A fragment that is not the last one of its message.
    Fragment,
    /// A message in one frame, still in the read buffer.
    Message(ClientMessage<'a>),
    /// The last frame of a fragmented message.
    Assembled(Assembled),
    /// Must be answered with the same payload.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong(&'a [u8]),
    /// The peer closes; see [`peer_code`].
    Close(u16),
}

/// The message that is being assembled, if any. Without one it is a null pointer.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    is_text: bool,
    bytes: Vec<u8>,
    /// Length of the prefix of `bytes` that is known to be complete characters.
    checked: usize,
    fragments: u32,
}

impl Assembly {
    /// Takes one scanned frame with its masked payload, and unmasks it in place.
    pub(super) fn accept<'a>(
        &mut self,
        head: &FrameHead,
        payload: &'a mut [u8],
        limits: &FrameLimits,
    ) -> Result<Part<'a>, ProtocolViolation> {
        unmask(head, payload);
        match head.opcode {
            OpCode::Ping => Ok(Part::Ping(payload)),
            OpCode::Pong => Ok(Part::Pong(payload)),
            OpCode::Close => peer_code(payload).map(Part::Close),
            OpCode::Continuation => self.proceed(head.fin, payload, limits),
            OpCode::Text | OpCode::Binary => self.begin(head, payload, limits),
        }
    }

    fn begin<'a>(
        &mut self,
        head: &FrameHead,
        payload: &'a [u8],
        limits: &FrameLimits,
    ) -> Result<Part<'a>, ProtocolViolation> {
        if self.partial.is_some() {
            return Err(ProtocolViolation::Interleaved);
        }
        let is_text = head.opcode == OpCode::Text;
        if head.fin {
            check_length(payload.len(), limits)?;
            return whole(is_text, payload).map(Part::Message);
        }
        let mut partial = Box::new(Partial::new(is_text));
        partial.append(payload, limits)?;
        self.partial = Some(partial);
        Ok(Part::Fragment)
    }

    fn proceed<'a>(
        &mut self,
        fin: bool,
        payload: &[u8],
        limits: &FrameLimits,
    ) -> Result<Part<'a>, ProtocolViolation> {
        let partial = self.partial.as_mut().ok_or(ProtocolViolation::Continuation)?;
        partial.append(payload, limits)?;
        match self.partial.take_if(|_| fin) {
            Some(partial) => partial.finish().map(Part::Assembled),
            None => Ok(Part::Fragment),
        }
    }
}

impl Partial {
    fn new(is_text: bool) -> Self {
        Self { is_text, bytes: Vec::new(), checked: 0, fragments: 0 }
    }

    fn append(&mut self, payload: &[u8], limits: &FrameLimits) -> Result<(), ProtocolViolation> {
        let (count, bound) = (self.fragments.saturating_add(1), limits.fragments);
        if count > bound {
            return Err(ProtocolViolation::Fragments { count, bound });
        }
        check_length(self.bytes.len() + payload.len(), limits)?;
        self.fragments = count;
        self.bytes.extend_from_slice(payload);
        if self.is_text { self.check_text() } else { Ok(()) }
    }

    /// Refuses bytes that no continuation can turn into UTF-8. The last character may be
    /// incomplete.
    fn check_text(&mut self) -> Result<(), ProtocolViolation> {
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(ProtocolViolation::Text),
        }
        Ok(())
    }

    fn finish(self) -> Result<Assembled, ProtocolViolation> {
        if self.is_text {
            String::from_utf8(self.bytes).map(Assembled::Text).map_err(|_| ProtocolViolation::Text)
        } else {
            Ok(Assembled::Binary(self.bytes))
        }
    }
}

fn unmask(head: &FrameHead, payload: &mut [u8]) {
    Frame::new(head.fin, head.opcode, Some(head.mask), Payload::BorrowedMut(payload)).unmask();
}

fn whole(is_text: bool, payload: &[u8]) -> Result<ClientMessage<'_>, ProtocolViolation> {
    if is_text {
        std::str::from_utf8(payload).map(ClientMessage::Text).map_err(|_| ProtocolViolation::Text)
    } else {
        Ok(ClientMessage::Binary(payload))
    }
}

fn check_length(length: usize, limits: &FrameLimits) -> Result<(), ProtocolViolation> {
    let bound = limits.message_bytes;
    if length > bound as usize {
        return Err(ProtocolViolation::MessageLength { length, bound });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { frame_bytes: 64, message_bytes: 8, fragments: 3 };

    /// Feeds frames with a zero mask. Returns messages and pings as owned text.
    fn run(frames: &[(bool, OpCode, &[u8])]) -> Result<Vec<String>, ProtocolViolation> {
        let mut assembly = Assembly::default();
        let mut seen = Vec::new();
        for &(fin, opcode, payload) in frames {
            let (mut payload, payload_len) = (payload.to_vec(), payload.len());
            let head = FrameHead { fin, opcode, mask: [0; 4], header_len: 6, payload_len };
            match assembly.accept(&head, &mut payload, &LIMITS)? {
                Part::Fragment => {}
                part => seen.push(format!("{part:?}")),
            }
        }
        Ok(seen)
    }

    #[test]
    fn a_message_in_one_frame_is_borrowed_and_unmasked() {
        let mut payload = b"HELLO".map(|byte| byte ^ 0x20);
        let (start, mask) = (payload.as_ptr(), [0x20; 4]);
        let head =
            FrameHead { fin: true, opcode: OpCode::Text, mask, header_len: 6, payload_len: 5 };
        let part = Assembly::default().accept(&head, &mut payload, &LIMITS);
        let Ok(Part::Message(ClientMessage::Text(text))) = part else { panic!("{part:?}") };
        assert_eq!((text, text.as_ptr()), ("HELLO", start));
    }

    #[test]
    fn fragments_make_one_message_around_control_frames() {
        let seen = run(&[
            (false, OpCode::Text, b"a\xc3"),
            (true, OpCode::Ping, b"p"),
            (false, OpCode::Continuation, b""),
            (true, OpCode::Pong, b"q"),
            (true, OpCode::Continuation, b"\xa9"),
            (true, OpCode::Binary, b"\xff"),
        ]);
        let expected = [
            "Ping([112])",
            "Pong([113])",
            "Assembled(Text(\"a\u{e9}\"))",
            "Message(Binary([255]))",
        ];
        assert_eq!(seen.unwrap(), expected);
    }

    #[test]
    fn order_is_enforced() {
        let interleaved = run(&[(false, OpCode::Text, b"a"), (true, OpCode::Text, b"b")]);
        assert_eq!(interleaved, Err(ProtocolViolation::Interleaved));
        let orphan = run(&[(true, OpCode::Binary, b"a"), (true, OpCode::Continuation, b"b")]);
        assert_eq!(orphan, Err(ProtocolViolation::Continuation));
    }

    #[test]
    fn totals_are_bounded() {
        let long = ProtocolViolation::MessageLength { length: 9, bound: 8 };
        assert!(run(&[(true, OpCode::Text, b"12345678")]).is_ok());
        assert_eq!(run(&[(true, OpCode::Text, b"123456789")]), Err(long.clone()));
        let split =
            [(false, OpCode::Binary, &b"12345"[..]), (false, OpCode::Continuation, b"6789")];
        assert_eq!(run(&split), Err(long));
        let empty = (false, OpCode::Continuation, &b""[..]);
        let endless = [(false, OpCode::Text, &b""[..]), empty, empty, empty];
        assert!(run(&endless[..3]).is_ok());
        assert_eq!(run(&endless), Err(ProtocolViolation::Fragments { count: 4, bound: 3 }));
    }

    #[test]
    fn text_must_be_utf8_in_whole_and_as_early_as_known() {
        assert_eq!(run(&[(true, OpCode::Text, b"\xc3")]), Err(ProtocolViolation::Text));
        assert_eq!(run(&[(false, OpCode::Text, b"ok\xff")]), Err(ProtocolViolation::Text));
        let split = [(false, OpCode::Text, &b"\xe2\x82"[..]), (false, OpCode::Continuation, b"x")];
        assert_eq!(run(&split), Err(ProtocolViolation::Text));
        let open = [(false, OpCode::Text, &b"\xe2"[..]), (true, OpCode::Continuation, b"\x82")];
        assert_eq!(run(&open), Err(ProtocolViolation::Text));
        assert!(run(&[(true, OpCode::Binary, b"\xc3")]).is_ok());
    }

    #[test]
    fn an_idle_assembly_is_one_pointer() {
        assert_eq!(size_of::<Assembly>(), size_of::<usize>());
    }
}
