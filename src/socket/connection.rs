//! One connection: a hand-written future that owns the reading side.
//!
//! It is polled when the peer sent something, when the socket takes more, or when its [`Link`] asks
//! for it. A poll flushes, reads into the thread's buffer, handles the complete frames, and flushes
//! again before it waits. So the answers to one read leave in one write.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::assembly::{Assembly, ClientMessage, Part};
use super::close::CloseFrame;
use super::closing::Closing;
use super::frame::FrameHead;
use super::frame_reader::FrameReader;
use super::handler::{Handler, HandlerAction};
use super::limits::FrameLimits;
use super::link::{Hold, Link};
use super::outbox::OutboxItem;
use super::violation::ProtocolViolation;

/// Bytes of the thread's read buffer, the most that one read takes.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Frames that one poll handles before other tasks have their turn.
pub const TURN_FRAMES_MAX: u32 = 64;

/// Bytes that one poll reads before other tasks have their turn: one full buffer.
pub const TURN_BYTES_MAX: usize = READ_BYTES_MAX;

thread_local! {
    /// Taken for the length of a read and the handling of its frames.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed with this code; [`super::code::ABSENT`] if it gave none.
    PeerClosed {
        /// Its close code.
        code: u16,
    },
    /// This side closed, by an action of the handler or by the link.
    ClosedHere {
        /// The code that was sent.
        code: u16,
    },
    /// The peer broke a rule and received the close frame.
    Breach(ProtocolViolation),
    /// The peer ended the stream without closing.
    Eof,
    /// Reading or writing failed.
    Io(io::Error),
    /// An action of the handler asked for the stream. Everything queued before was written.
    Detached {
        /// Still registered with this event loop.
        stream: TcpStream,
        /// What was read and not delivered. It comes before what the stream has.
        unread: Bytes,
    },
}

/// The task's side of a connection. Dropping it ends the connection at once.
#[derive(Debug)]
pub struct Connection<H> {
    /// Absent once the stream was returned.
    read: Option<OwnedReadHalf>,
    link: Rc<Link>,
    intake: FrameReader,
    receiver: Receiver<H>,
    closing: Option<Box<Closing>>,
}

#[derive(Debug)]
struct Receiver<H> {
    handler: H,
    assembly: Assembly,
    limits: FrameLimits,
    /// Bytes of the first message, until it was taken.
    first_bytes: u32,
}

/// What one poll has done so far.
#[derive(Default)]
struct Turn {
    frames: u32,
    bytes: usize,
}

/// Why no more frames are delivered.
enum Stop {
    /// Check the state of the link again.
    Look,
    End(End),
}

impl From<ProtocolViolation> for Stop {
    fn from(violation: ProtocolViolation) -> Self {
        Self::End(End::Breach(violation))
    }
}

impl<H: Handler> Connection<H> {
    /// Makes a connection over the two sides that [`Link::open`] made. `unread` is handled first.
    /// It was read after the handshake, or returned by a connection that was detached.
    pub fn new(
        read: OwnedReadHalf,
        link: Rc<Link>,
        limits: FrameLimits,
        handler: H,
        unread: &[u8],
    ) -> Self {
        let assembly = Assembly::default();
        let receiver = Receiver { handler, assembly, limits, first_bytes: u32::MAX };
        Self { read: Some(read), link, intake: FrameReader::new(unread), receiver, closing: None }
    }

    /// Limits the first message to so many bytes, if the limits allow as many.
    #[must_use]
    pub fn bound_first(mut self, bytes: u32) -> Self {
        self.receiver.first_bytes = bytes;
        self
    }

    /// The shared handle.
    pub const fn link(&self) -> &Rc<Link> {
        &self.link
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.closing.is_none() {
            let end = ready!(self.poll_open(cx));
            if !self.announce(&end) {
                return Poll::Ready(end);
            }
            let closing = Closing::new(end, &mut self.intake, &self.receiver.limits());
            self.closing = Some(Box::new(closing));
        }
        self.poll_closing(cx)
    }

    /// Serves the peer until there is a reason to end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut turn = Turn::default();
        loop {
            let is_empty = match self.link.poll_flush(cx) {
                Ok(is_empty) => is_empty,
                Err(error) => return Poll::Ready(End::Io(error)),
            };
            if let Some(code) = self.link.close_code() {
                return Poll::Ready(End::ClosedHere { code });
            }
            match (self.link.hold(), is_empty) {
                (Hold::None, _) => {}
                (Hold::Paused, _) | (_, false) => return Poll::Pending,
                (Hold::Drain, true) => self.link.set_hold(Hold::None),
                (Hold::Detach, true) => return Poll::Ready(self.detach()),
            }
            if turn.is_spent() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(Stop::End(end)) = ready!(self.receive(cx, &mut turn)) {
                return Poll::Ready(end);
            }
        }
    }

    /// Delivers the frames that are complete, or else those that one read brings.
    fn receive(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<Result<(), Stop>> {
        if self.intake.is_ready(&self.receiver.limits()) {
            return Poll::Ready(self.feed(&mut [], turn));
        }
        with_read_buffer(|buffer| {
            let data = match ready!(poll_read(self.read.as_mut(), cx, buffer)) {
                Ok([]) => return Poll::Ready(Err(Stop::End(End::Eof))),
                Ok(data) => data,
                Err(error) => return Poll::Ready(Err(Stop::End(End::Io(error)))),
            };
            self.link.touch();
            turn.bytes += data.len();
            Poll::Ready(self.feed(data, turn))
        })
    }

    fn feed(&mut self, data: &mut [u8], turn: &mut Turn) -> Result<(), Stop> {
        let Self { intake, receiver, link, .. } = self;
        let limits = receiver.limits();
        intake.feed(data, &limits, &mut |head, payload| {
            receiver.take(link, head, payload)?;
            turn.frames += 1;
            let go_on = turn.frames < TURN_FRAMES_MAX
                && receiver.limits() == limits
                && link.hold() == Hold::None
                && link.close_code().is_none();
            if go_on { Ok(()) } else { Err(Stop::Look) }
        })
    }

    fn detach(&mut self) -> End {
        let unread = std::mem::take(&mut self.intake).into_unread().into();
        let halves = self.read.take().zip(self.link.take_write());
        match halves.and_then(|(read, write)| read.reunite(write).ok()) {
            Some(stream) => End::Detached { stream, unread },
            None => End::Io(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Queues the close frame that `end` calls for. Returns whether there is one.
    fn announce(&self, end: &End) -> bool {
        let close = match end {
            End::PeerClosed { code } => CloseFrame::new(*code, ""),
            End::Breach(violation) => violation.into(),
            End::ClosedHere { .. } => return true,
            End::Eof | End::Io(_) | End::Detached { .. } => return false,
        };
        // Refused if another close frame is queued already; that one is enough.
        let _ = self.link.push(OutboxItem::Close(close));
        true
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Self { read, link, intake, receiver, closing } = self;
        let closing = closing.as_mut().expect("called only once it is set");
        loop {
            if let Some(end) = closing.write(link, cx) {
                return Poll::Ready(end);
            }
            let over = ready!(with_read_buffer(|buffer| {
                poll_read(read.as_mut(), cx, buffer)
                    .map(|data| closing.take(data, intake, &receiver.limits()))
            }));
            if let Some(end) = over {
                return Poll::Ready(end);
            }
        }
    }
}

impl<H: Handler> Receiver<H> {
    /// Returns the limits of the message that is under way.
    fn limits(&self) -> FrameLimits {
        let FrameLimits { frame_bytes, message_bytes, fragments } = self.limits;
        let first = self.first_bytes;
        FrameLimits {
            frame_bytes: frame_bytes.min(first),
            message_bytes: message_bytes.min(first),
            fragments,
        }
    }

    /// Takes one frame and carries out what the handler decides.
    fn take(&mut self, link: &Link, head: &FrameHead, payload: &mut [u8]) -> Result<(), Stop> {
        let limits = self.limits();
        let verdict = match self.assembly.accept(head, payload, &limits)? {
            Part::Fragment => self.handler.other(0),
            Part::Pong(payload) => self.handler.other(payload.len()),
            Part::Message(message) => self.hand_over(message),
            Part::Assembled(whole) => self.hand_over(whole.message()),
            Part::Ping(payload) => {
                // Without space the answer is omitted: the peer reads none of it now.
                let _ = link.push(OutboxItem::Pong(Bytes::copy_from_slice(payload)));
                self.handler.other(payload.len())
            }
            Part::Close(code) => return Err(Stop::End(End::PeerClosed { code })),
        };
        match verdict {
            HandlerAction::Continue => {}
            HandlerAction::Pause => link.set_hold(Hold::Paused),
            HandlerAction::Drain => link.set_hold(Hold::Drain),
            HandlerAction::Detach => link.set_hold(Hold::Detach),
            HandlerAction::Close(close) => link.close(close),
        }
        Ok(())
    }

    fn hand_over(&mut self, message: ClientMessage<'_>) -> HandlerAction {
        self.first_bytes = u32::MAX;
        self.handler.message(message)
    }
}

impl Turn {
    fn is_spent(&self) -> bool {
        self.frames >= TURN_FRAMES_MAX || self.bytes >= TURN_BYTES_MAX
    }
}

impl<H: Handler> Future for Connection<H> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = self.get_mut();
        this.link.listen(cx.waker());
        let end = ready!(this.advance(cx));
        this.link.end();
        Poll::Ready(end)
    }
}

/// No field is pinned.
impl<H> Unpin for Connection<H> {}

impl<H> Drop for Connection<H> {
    fn drop(&mut self) {
        self.link.end();
    }
}

/// Lends the thread's read buffer. A nested loan would get a new one.
fn with_read_buffer<T>(lend: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READ_BUFFER.take();
    buffer.resize(READ_BYTES_MAX, 0);
    let result = lend(&mut buffer);
    READ_BUFFER.set(buffer);
    result
}

/// Reads once. The result is empty at the end of the stream. `poll_read` is better here than
/// `try_read`: it takes a short read as a sign that the socket is empty. That saves the call that
/// would find out.
fn poll_read<'a>(
    read: Option<&mut OwnedReadHalf>,
    cx: &mut Context<'_>,
    buffer: &'a mut [u8],
) -> Poll<io::Result<&'a mut [u8]>> {
    let Some(read) = read else { return Poll::Ready(Ok(&mut [])) };
    let mut filled = ReadBuf::new(buffer);
    if let Err(error) = ready!(Pin::new(read).poll_read(cx, &mut filled)) {
        return Poll::Ready(Err(error));
    }
    let length = filled.filled().len();
    Poll::Ready(Ok(&mut buffer[..length]))
}

#[cfg(test)]
mod tests;
