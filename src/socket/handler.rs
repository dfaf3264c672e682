//! What the owner of a connection decides about each frame.

use super::assembly::ClientMessage;
use super::close::CloseFrame;

/// The consumer of one connection's frames.
///
/// It is called inside the connection's poll, with the frame still in the thread's read buffer. It
/// must not block, and work that waits goes to another task. To answer, it pushes to its
/// [`super::Link`]. What it pushed is flushed after the frames at hand are handled.
pub trait Handler {
    /// Takes one complete message.
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction;

    /// Takes a frame that is not a complete message. That is a ping, which is already answered, a
    /// pong, or a fragment of a message that goes on. `bytes` is the payload size of a ping or a
    /// pong. A fragment's bytes count with its message, which a limit bounds.
    fn other(&mut self, bytes: usize) -> HandlerAction;
}

/// What to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum HandlerAction {
    /// Go on with the next one.
    Continue,
    /// Deliver nothing more until [`super::Link::resume_reading`]. The socket is not read meanwhile: pings
    /// wait, and only a write shows that the peer is gone. A `resume` from inside the call that
    /// returns this is lost.
    Pause,
    /// Like `Pause`, until everything queued for the peer has been written.
    Drain,
    /// Send this and end.
    Close(CloseFrame),
    /// Stop reading, write what is queued, and return the stream with the bytes that were not
    /// delivered: [`super::End::Detached`].
    Detach,
}
