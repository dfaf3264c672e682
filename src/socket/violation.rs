//! Violations of the protocol or of the limits by a client.

use super::close::{CloseFrame, code};

/// Why a connection is closed because of its client. The text names the bound and the value, and is
/// the reason in the close frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolViolation {
    /// A reserved bit is set though no extension was agreed.
    #[error("reserved bits are {0:03b}, must be 000")]
    ReservedBits(u8),
    /// An opcode that RFC 6455 does not define.
    #[error("opcode {0:#x} is not defined")]
    Opcode(u8),
    /// A client must mask every frame.
    #[error("a client frame must be masked")]
    Unmasked,
    /// A control frame in several fragments.
    #[error("a control frame must not be fragmented")]
    ControlFragmented,
    /// A control frame with an extended length.
    #[error("a control frame carries at most 125 bytes")]
    ControlLength,
    /// A length in more bytes than it needs.
    #[error("length {0} is not encoded in the fewest bytes")]
    LengthEncoding(u64),
    /// A 64-bit length with its top bit set.
    #[error("the top bit of a 64-bit length must be 0")]
    LengthTopBit,
    /// A frame above [`super::FrameLimits::frame_bytes`].
    #[error("frame of {length} bytes, at most {bound} allowed")]
    FrameLength {
        /// Bytes that the header announces.
        length: u64,
        /// The bound in bytes.
        bound: u32,
    },
    /// A message above [`super::FrameLimits::message_bytes`].
    #[error("message of {length} bytes, at most {bound} allowed")]
    MessageLength {
        /// Bytes up to and including the frame that broke the bound.
        length: usize,
        /// The bound in bytes.
        bound: u32,
    },
    /// A message in more frames than [`super::FrameLimits::fragments`].
    #[error("message of {count} fragments, at most {bound} allowed")]
    Fragments {
        /// Frames up to and including the one that broke the bound.
        count: u32,
        /// The bound.
        bound: u32,
    },
    /// A new data frame inside a fragmented message.
    #[error("a message began inside another one")]
    Interleaved,
    /// A continuation frame without a message to continue.
    #[error("a continuation frame without a message")]
    Continuation,
    /// A text message that is not UTF-8, or that ends inside a character.
    #[error("the text is not UTF-8")]
    Text,
    /// A binary message where only text is accepted. Handlers raise it, the socket never does.
    #[error("binary messages are not accepted")]
    Binary,
    /// A close frame of one byte.
    #[error("a close frame of 1 byte")]
    CloseLength,
    /// A code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A close reason that is not UTF-8.
    #[error("the close reason is not UTF-8")]
    CloseReason,
}

impl ProtocolViolation {
    /// The code to close with.
    pub fn code(&self) -> u16 {
        match self {
            Self::FrameLength { .. } | Self::MessageLength { .. } | Self::Fragments { .. } => {
                code::TOO_BIG
            }
            Self::Text | Self::CloseReason => code::INVALID_TEXT,
            Self::Binary => code::UNSUPPORTED,
            _ => code::PROTOCOL,
        }
    }
}

impl From<&ProtocolViolation> for CloseFrame {
    fn from(violation: &ProtocolViolation) -> Self {
        Self::new(violation.code(), violation.to_string())
    }
}
