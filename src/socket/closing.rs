//! The end of a connection after a close frame was queued. Only this phase has a timer.
//!
//! If a socket is closed with unread data in it, the connection is reset. That can destroy a close
//! frame that the peer has not read yet. So the write side is shut down first. What the peer still
//! sends is read and dropped until it ends too, up to a bound.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use fastwebsockets::OpCode;
use tokio::time::{Sleep, sleep};

use super::connection::End;
use super::frame_reader::FrameReader;
use super::limits::FrameLimits;
use super::link::Link;
use super::violation::ProtocolViolation;

/// How long the whole end may take: a round trip and a write of what was queued. A peer that does
/// not answer gets no second chance.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Bytes of a peer that are dropped after its last frame that counts: as many as can be under way
/// on a window of usual size.
pub const DISCARD_BYTES_MAX: usize = 256 * 1024;

/// A connection that is ending.
#[derive(Debug)]
pub(super) struct Closing {
    deadline: Pin<Box<Sleep>>,
    end: Option<End>,
    /// The peer's close frame is still to come, so frames are still parsed.
    awaiting: bool,
    discarded: usize,
}

/// The peer's close frame, or bytes after which none can be found.
struct Over;

impl From<ProtocolViolation> for Over {
    fn from(_: ProtocolViolation) -> Self {
        Self
    }
}

impl Closing {
    /// Begins to end with `end`, which states whether the peer still has to send a close frame.
    /// `intake` holds frames that were not delivered.
    pub(super) fn new(end: End, intake: &mut FrameReader, limits: &FrameLimits) -> Self {
        let awaiting = matches!(end, End::ClosedHere { .. });
        if !awaiting {
            // After a violation the kept bytes may be as long as a whole read. They are not needed
            // for the seconds that an end takes.
            *intake = FrameReader::default();
        }
        let deadline = Box::pin(sleep(CLOSE_WAIT));
        let mut closing = Self { deadline, end: Some(end), awaiting, discarded: 0 };
        closing.consume(&mut [], intake, limits);
        closing
    }

    /// Flushes, and shuts the write side down when everything is sent. Returns `Some` when the time
    /// is over or the socket is broken.
    pub(super) fn write(&mut self, link: &Link, cx: &mut Context<'_>) -> Option<End> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Some(self.finish());
        }
        match link.poll_flush(cx) {
            Ok(true) if !self.awaiting => link.release(),
            Ok(_) => {}
            Err(_) => return Some(self.finish()),
        }
        None
    }

    /// Reads once from the peer. Returns `Some` when the connection is over.
    pub(super) fn take(
        &mut self,
        read: io::Result<&mut [u8]>,
        intake: &mut FrameReader,
        limits: &FrameLimits,
    ) -> Option<End> {
        match read {
            Ok(data) if !data.is_empty() => self.consume(data, intake, limits),
            Ok(_) | Err(_) => return Some(self.finish()),
        }
        (self.discarded > DISCARD_BYTES_MAX).then(|| self.finish())
    }

    fn consume(&mut self, data: &mut [u8], intake: &mut FrameReader, limits: &FrameLimits) {
        if !self.awaiting {
            self.discarded += data.len();
            return;
        }
        let found = intake.feed(data, limits, &mut |head, _| match head.opcode {
            OpCode::Close => Err(Over),
            _ => Ok(()),
        });
        if found.is_err() {
            self.awaiting = false;
        }
    }

    fn finish(&mut self) -> End {
        self.end.take().expect("a connection ends once and is not polled afterwards")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::peer::{close, on_event_loop, text};

    const LIMITS: FrameLimits =
        FrameLimits { frame_bytes: 1000, message_bytes: 1000, fragments: 1 };

    #[test]
    fn what_is_dropped_after_a_breach_is_bounded() {
        on_event_loop(async {
            let mut intake = FrameReader::new(&[0; 1024]);
            let mut closing =
                Closing::new(End::Breach(ProtocolViolation::Unmasked), &mut intake, &LIMITS);
            assert_eq!(std::mem::take(&mut intake).into_unread().capacity(), 0, "nothing is kept");
            for _ in 0..DISCARD_BYTES_MAX / 1024 {
                assert!(closing.take(Ok(&mut [0; 1024]), &mut intake, &LIMITS).is_none());
            }
            let end = closing.take(Ok(&mut [0]), &mut intake, &LIMITS);
            assert!(matches!(end, Some(End::Breach(ProtocolViolation::Unmasked))));
        });
    }

    #[test]
    fn frames_are_dropped_until_the_peers_close() {
        on_event_loop(async {
            let mut intake = FrameReader::new(&text("held")[..7]);
            let mut closing = Closing::new(End::ClosedHere { code: 1000 }, &mut intake, &LIMITS);
            let mut frames = [&text("held")[7..], &text("more").repeat(100_000)].concat();
            assert!(closing.take(Ok(&mut frames), &mut intake, &LIMITS).is_none());
            assert!(closing.awaiting);
            assert!(closing.take(Ok(&mut close(1000)), &mut intake, &LIMITS).is_none());
            assert!(!closing.awaiting);
            let end = closing.take(Ok(&mut []), &mut intake, &LIMITS);
            assert!(matches!(end, Some(End::ClosedHere { code: 1000 })));
        });
    }

    #[test]
    fn a_close_that_was_held_counts() {
        on_event_loop(async {
            let mut intake = FrameReader::new(&[text("held"), close(1000)].concat());
            let closing = Closing::new(End::ClosedHere { code: 1000 }, &mut intake, &LIMITS);
            assert!(!closing.awaiting);
        });
    }
}
