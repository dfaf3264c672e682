//! One client frame at the start of a slice: header, checks, lengths (RFC 6455, section 5.2).

use fastwebsockets::OpCode;

use super::limits::FrameLimits;
use super::violation::ProtocolViolation;

/// Payload bytes of a control frame (RFC 6455, section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Bytes that every frame starts with: flags and opcode, mask bit and short length.
const PREFIX_BYTES: usize = 2;
const MASK_BYTES: usize = 4;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const SHORT_LENGTH: u8 = 0x7f;
/// Short lengths that announce a longer field.
const LENGTH_IN_2: u8 = 126;
const LENGTH_IN_8: u8 = 127;

/// The header of a frame that passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The last frame of its message.
    pub fin: bool,
    /// Any defined opcode.
    pub opcode: OpCode,
    /// The key that the payload is masked with.
    pub mask: [u8; 4],
    /// Bytes of the header, 6 to 14.
    pub header_len: usize,
    /// Bytes of the payload that follows it.
    pub payload_len: usize,
}

impl FrameHead {
    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> usize {
        self.header_len + self.payload_len
    }
}

/// The content of the start of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Not a whole frame yet.
    Incomplete {
        /// Bytes from the start of the frame that are needed to continue: those of the header while
        /// its length is open, then those of the frame. Never above the frame's bound.
        need: usize,
    },
    /// A whole frame; its payload is still masked.
    Frame(FrameHead),
}

/// Scans the frame that starts at `bytes[0]`. Each rule is checked as soon as its bits are there.
/// So a bad frame is refused before its payload is awaited or kept.
pub fn scan(bytes: &[u8], limits: &FrameLimits) -> Result<Scan, ProtocolViolation> {
    let Some(&first) = bytes.first() else {
        return Ok(Scan::Incomplete { need: PREFIX_BYTES });
    };
    let opcode = opcode(first)?;
    let Some(&second) = bytes.get(1) else {
        return Ok(Scan::Incomplete { need: PREFIX_BYTES });
    };
    check_second(second, opcode)?;
    let length_end = PREFIX_BYTES + extended_bytes(second);
    let Some(extended) = bytes.get(PREFIX_BYTES..length_end) else {
        return Ok(Scan::Incomplete { need: length_end + MASK_BYTES });
    };
    let payload_len = bounded(length(second, extended)?, opcode, limits)?;
    let header_len = length_end + MASK_BYTES;
    let need = header_len + payload_len;
    if bytes.len() < need {
        return Ok(Scan::Incomplete { need });
    }
    let mut mask = [0; MASK_BYTES];
    mask.copy_from_slice(&bytes[length_end..header_len]);
    let fin = first & FIN != 0;
    Ok(Scan::Frame(FrameHead { fin, opcode, mask, header_len, payload_len }))
}

fn opcode(first: u8) -> Result<OpCode, ProtocolViolation> {
    let reserved = first & RESERVED;
    if reserved != 0 {
        return Err(ProtocolViolation::ReservedBits(reserved >> RESERVED.trailing_zeros()));
    }
    let bits = first & OPCODE;
    let opcode = OpCode::try_from(bits).map_err(|_| ProtocolViolation::Opcode(bits))?;
    if is_control(opcode) && first & FIN == 0 {
        return Err(ProtocolViolation::ControlFragmented);
    }
    Ok(opcode)
}

fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

fn check_second(second: u8, opcode: OpCode) -> Result<(), ProtocolViolation> {
    if second & MASKED == 0 {
        return Err(ProtocolViolation::Unmasked);
    }
    if is_control(opcode) && usize::from(second & SHORT_LENGTH) > CONTROL_BYTES_MAX {
        return Err(ProtocolViolation::ControlLength);
    }
    Ok(())
}

fn extended_bytes(second: u8) -> usize {
    match second & SHORT_LENGTH {
        LENGTH_IN_2 => 2,
        LENGTH_IN_8 => 8,
        _ => 0,
    }
}

/// Returns the length in the header, in any of its three forms.
fn length(second: u8, extended: &[u8]) -> Result<u64, ProtocolViolation> {
    let least = match extended.len() {
        0 => return Ok(u64::from(second & SHORT_LENGTH)),
        2 => u64::from(LENGTH_IN_2),
        _ => 1 << 16,
    };
    let length = extended.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    if length >> 63 != 0 {
        return Err(ProtocolViolation::LengthTopBit);
    }
    if length < least {
        return Err(ProtocolViolation::LengthEncoding(length));
    }
    Ok(length)
}

/// Returns the length as a size, if it is within its bound. A control frame has its own bound,
/// already checked: it must pass with any bound on data.
fn bounded(length: u64, opcode: OpCode, limits: &FrameLimits) -> Result<usize, ProtocolViolation> {
    let bound = if is_control(opcode) { CONTROL_BYTES_MAX as u32 } else { limits.frame_bytes };
    usize::try_from(length)
        .ok()
        .filter(|_| length <= u64::from(bound))
        .ok_or(ProtocolViolation::FrameLength { length, bound })
}

#[cfg(test)]
mod tests;
