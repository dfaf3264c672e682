//! Close frames: codes, reasons, and their payload.

use std::borrow::Cow;

use bytes::Bytes;
use fastwebsockets::CloseCode;

use super::frame::CONTROL_BYTES_MAX;
use super::violation::ProtocolViolation;

/// Close codes of RFC 6455, section 7.4.1, that this room uses itself.
pub mod code {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The peer sent a kind of data that is not accepted.
    pub const UNSUPPORTED: u16 = 1003;
    /// Stands for a close frame without a code. It is never on the wire.
    pub const ABSENT: u16 = 1005;
    /// A text that is not UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// A frame or message that is too big.
    pub const TOO_BIG: u16 = 1009;
    /// "Bad gateway": registered with IANA after the RFC.
    pub const BAD_GATEWAY: u16 = 1014;
}

/// Most bytes of a reason: a control frame's payload less the two of the code.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A close frame to send: a code and a short reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: u16,
    reason: Cow<'static, str>,
}

impl CloseFrame {
    /// Makes a close frame. A reason above 123 bytes is cut at the last complete character that
    /// fits. With [`code::ABSENT`] the frame is empty.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: cut(reason.into()) }
    }

    /// The close code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason as it is sent.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The payload of the frame.
    pub(super) fn payload(&self) -> Bytes {
        if self.code == code::ABSENT {
            return Bytes::new();
        }
        [&self.code.to_be_bytes(), self.reason.as_bytes()].concat().into()
    }
}

fn cut(reason: Cow<'static, str>) -> Cow<'static, str> {
    if reason.len() <= REASON_BYTES_MAX {
        return reason;
    }
    let end = (0..=REASON_BYTES_MAX).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
    Cow::Owned(reason[..end].to_owned())
}

/// Returns the code in the unmasked payload of a peer's close frame; [`code::ABSENT`] if it is
/// empty.
pub(super) fn peer_code(payload: &[u8]) -> Result<u16, ProtocolViolation> {
    let (code, reason) = match payload {
        [] => return Ok(code::ABSENT),
        [_] => return Err(ProtocolViolation::CloseLength),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_sendable(code) {
        return Err(ProtocolViolation::CloseCode(code));
    }
    std::str::from_utf8(reason).map(|_| code).map_err(|_| ProtocolViolation::CloseReason)
}

fn is_sendable(code: u16) -> bool {
    code == code::BAD_GATEWAY || CloseCode::from(code).is_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_registry() {
        let sendable = |code: u16| peer_code(&code.to_be_bytes()) == Ok(code);
        let allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        for code in 0..1016 {
            assert_eq!(sendable(code), allowed.contains(&code), "{code}");
        }
        for code in 1016..3000 {
            assert!(!sendable(code), "{code}");
        }
        for code in 3000..5000 {
            assert!(sendable(code), "{code}");
        }
        for code in 5000..=u16::MAX {
            assert!(!sendable(code), "{code}");
        }
    }

    #[test]
    fn payloads_of_a_peer() {
        assert_eq!(peer_code(&[]), Ok(code::ABSENT));
        assert_eq!(peer_code(&[3]), Err(ProtocolViolation::CloseLength));
        assert_eq!(peer_code(b"\x03\xe8\xff"), Err(ProtocolViolation::CloseReason));
        assert_eq!(peer_code("\u{3}\u{7f}".as_bytes()), Err(ProtocolViolation::CloseCode(0x37f)));
        assert_eq!(peer_code(b"\x03\xe8bye"), Ok(code::NORMAL));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = CloseFrame::new(4000, "\u{e9}".repeat(100));
        assert_eq!(close.reason(), "\u{e9}".repeat(61));
        assert_eq!(close.payload().len(), 2 + 122);
        assert_eq!(CloseFrame::new(4000, "x".repeat(123)).reason().len(), 123);
    }

    #[test]
    fn an_absent_code_is_an_empty_payload() {
        assert!(CloseFrame::new(code::ABSENT, "").payload().is_empty());
        assert_eq!(&CloseFrame::new(4102, "slow").payload()[..], b"\x10\x06slow");
    }
}
