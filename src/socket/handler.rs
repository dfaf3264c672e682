//! What the owner of a connection decides about each frame.

use super::assembly::ClientMessage;
use super::close::CloseFrame;

/// The consumer of one connection's frames.
///
/// It is called inside the connection's poll, with the frame still in the thread's read buffer:
/// it must not block, and work that waits goes to another task. To answer, it pushes to its
/// [`super::Link`]; what it pushed is flushed after the frames at hand are handled.
pub trait Handler {
    /// Takes one whole message.
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction;

    /// Takes note of a frame that is no whole message: a ping, which is answered before, a pong, or
    /// a fragment of a message that goes on. `bytes` are the payload of a ping or a pong; those of a
    /// fragment count with its message, which a limit bounds.
    fn other(&mut self, bytes: usize) -> HandlerAction;
}

/// What to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum HandlerAction {
    /// Go on with the next one.
    Continue,
    /// Hand out nothing more until [`super::Link::resume`]. The socket is not read meanwhile:
    /// pings wait, and that the peer is gone shows only in a write. A `resume` from inside the
    /// call that returns this is lost.
    Pause,
    /// As `Pause`, until everything queued towards the peer has been written.
    Drain,
    /// Send this and end.
    Close(CloseFrame),
    /// Stop reading, write what is queued, and give the stream back with the bytes not handed
    /// out: [`super::End::Detached`].
    Detach,
}
