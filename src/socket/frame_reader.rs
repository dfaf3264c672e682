//! Frames from reads of any size. Complete ones are handled in place; the start of the next one is
//! kept.

use super::frame::{FrameHead, Scan, scan};
use super::limits::FrameLimits;
use super::violation::ProtocolViolation;

/// First capacity of a kept start, so that a header that arrives in single bytes does not
/// reallocate at each.
const TAIL_BYTES_MIN: usize = 64;

/// The bytes that were read and not delivered. Empty, and without memory, unless a frame is under
/// way or its receiver stopped early.
///
/// A frame under way is kept in at most its own length, which the scanner bounded before. The
/// memory grows with what arrived, never with what a header announces, and at most doubles. So each
/// byte is copied a constant number of times.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    tail: Vec<u8>,
}

impl FrameReader {
    /// Starts with bytes that were read elsewhere.
    pub(super) fn new(unread: &[u8]) -> Self {
        Self { tail: unread.to_vec() }
    }

    /// Whether there is something to deliver without another read. A violation counts, because
    /// [`FrameReader::feed`] reports it.
    pub(super) fn is_ready(&self, limits: &FrameLimits) -> bool {
        !self.tail.is_empty() && !matches!(scan(&self.tail, limits), Ok(Scan::Incomplete { .. }))
    }

    /// Delivers every complete frame in the kept bytes and in `data` to `take`: header and masked
    /// payload. An error of `take` stops it after that frame, and the next call delivers the rest.
    /// After a violation the kept bytes mean nothing.
    pub(super) fn feed<S: From<ProtocolViolation>>(
        &mut self,
        data: &mut [u8],
        limits: &FrameLimits,
        take: &mut impl FnMut(&FrameHead, &mut [u8]) -> Result<(), S>,
    ) -> Result<(), S> {
        let mut rest = data;
        while !self.tail.is_empty() {
            rest = self.top_up(rest, limits)?;
            let mut held = std::mem::take(&mut self.tail);
            let (used, outcome) = hand_out(&mut held, limits, take);
            self.keep(held, used);
            if outcome.is_err() || rest.is_empty() {
                self.tail.extend_from_slice(rest);
                return outcome;
            }
        }
        let (used, outcome) = hand_out(rest, limits, take);
        self.tail = rest[used..].to_vec();
        outcome
    }

    /// Returns the bytes that were not delivered.
    pub(super) fn into_unread(self) -> Vec<u8> {
        self.tail
    }

    /// Moves from `rest` to the kept bytes what their first frame lacks.
    fn top_up<'a>(
        &mut self,
        rest: &'a mut [u8],
        limits: &FrameLimits,
    ) -> Result<&'a mut [u8], ProtocolViolation> {
        let mut rest = rest;
        while let Scan::Incomplete { need } = scan(&self.tail, limits)? {
            let lacking = (need - self.tail.len()).min(rest.len());
            if lacking == 0 {
                break;
            }
            let (more, left) = rest.split_at_mut(lacking);
            self.append(more, need);
            rest = left;
        }
        Ok(rest)
    }

    fn append(&mut self, more: &[u8], need: usize) {
        let length = self.tail.len() + more.len();
        if length > self.tail.capacity() {
            let capacity = (2 * self.tail.len()).max(TAIL_BYTES_MIN).min(need).max(length);
            self.tail.reserve_exact(capacity - self.tail.len());
        }
        self.tail.extend_from_slice(more);
    }

    fn keep(&mut self, held: Vec<u8>, used: usize) {
        self.tail = if used == 0 { held } else { held[used..].to_vec() };
    }
}

/// Delivers the complete frames at the start of `bytes`. Returns how many bytes they took.
fn hand_out<S: From<ProtocolViolation>>(
    bytes: &mut [u8],
    limits: &FrameLimits,
    take: &mut impl FnMut(&FrameHead, &mut [u8]) -> Result<(), S>,
) -> (usize, Result<(), S>) {
    let mut used = 0;
    loop {
        let head = match scan(&bytes[used..], limits) {
            Ok(Scan::Frame(head)) => head,
            Ok(Scan::Incomplete { .. }) => return (used, Ok(())),
            Err(violation) => return (used, Err(violation.into())),
        };
        let frame = &mut bytes[used..used + head.frame_len()];
        used += head.frame_len();
        if let Err(stop) = take(&head, &mut frame[head.header_len..]) {
            return (used, Err(stop));
        }
    }
}

#[cfg(test)]
mod tests;
