//! The shared handle of a connection: how other code on its event loop reaches the peer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::budget::WorkerShare;
use super::close::CloseFrame;
use super::outbox::{Flush, Outbox, OutboxItem, PushError};

/// What keeps a connection from delivering messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    None,
    /// Until [`Link::resume_reading`].
    Paused,
    /// Until the outbox is empty.
    Drain,
    /// For good. Once the outbox is empty the stream is returned.
    Detach,
}

/// The write side of a connection and what is known about its peer.
///
/// It may outlive its connection. Then every push is refused and all other calls do nothing.
pub struct Link {
    outgoing: RefCell<Outgoing>,
    /// Of the task that runs the connection.
    waker: Cell<Option<Waker>>,
    last_seen: Cell<Instant>,
    blocked_since: Cell<Option<Instant>>,
    hold: Cell<Hold>,
    heard: Cell<bool>,
    /// The error of a write by another task.
    failure: Cell<Option<io::ErrorKind>>,
    share: Rc<WorkerShare>,
    /// Bytes that the share was charged: none unless the socket is full.
    charged: Cell<usize>,
}

struct Outgoing {
    /// Absent once the connection may not write any more.
    write: Option<OwnedWriteHalf>,
    outbox: Outbox,
}

impl Link {
    /// Splits a stream, after its handshake, into the handle and the half that
    /// [`super::Connection::new`] reads from. At most `outbox_bytes` wait for the peer. What waits
    /// because its socket is full counts in `share`.
    pub fn open(
        stream: TcpStream,
        outbox_bytes: usize,
        share: &Rc<WorkerShare>,
    ) -> (Rc<Self>, OwnedReadHalf) {
        let (read, write) = stream.into_split();
        let outbox = Outbox::new(outbox_bytes);
        let link = Self {
            outgoing: RefCell::new(Outgoing { write: Some(write), outbox }),
            waker: Cell::new(None),
            last_seen: Cell::new(Instant::now()),
            blocked_since: Cell::new(None),
            hold: Cell::new(Hold::None),
            heard: Cell::new(false),
            failure: Cell::new(None),
            share: Rc::clone(share),
            charged: Cell::new(0),
        };
        (Rc::new(link), read)
    }

    /// Queues an item. It is sent at the next [`Link::flush`], or when the connection is next
    /// polled.
    pub fn push(&self, item: OutboxItem) -> Result<(), PushError> {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.write.is_none() {
            return Err(PushError::Closed);
        }
        outgoing.outbox.push(item)
    }

    /// Writes what the socket takes now; the connection's task waits for the rest. A dead
    /// connection counts as empty: its task is notified, and nothing is kept for it.
    pub fn flush(&self) -> Flush {
        match self.try_flush() {
            Ok(Flush::Empty) => Flush::Empty,
            Ok(Flush::Blocked) => {
                self.wake();
                Flush::Blocked
            }
            Err(error) => {
                self.failure.set(Some(error.kind()));
                self.release();
                self.wake();
                Flush::Empty
            }
        }
    }

    /// Sends what is queued, then this, and ends the connection. The first close counts.
    pub fn close(&self, close: CloseFrame) {
        // A refusal means that it is closed already.
        let _ = self.push(OutboxItem::Close(close));
        self.flush();
        self.wake();
    }

    /// Like [`Link::close`], but drops what is queued and frees its memory at once: for a peer that
    /// does not keep up.
    pub fn evict(&self, close: CloseFrame) {
        if self.is_open() {
            self.outgoing.borrow_mut().outbox.discard();
            self.charge(0);
        }
        self.close(close);
    }

    /// Ends a [`super::HandlerAction::Pause`]. The peer counts as seen now, since nothing was received
    /// from it meanwhile.
    pub fn resume_reading(&self) {
        if self.hold.get() == Hold::Paused {
            self.hold.set(Hold::None);
            self.last_seen.set(Instant::now());
            self.wake();
        }
    }

    /// Whether a push can succeed: no close frame is queued and the connection lives.
    pub fn is_open(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        outgoing.write.is_some() && outgoing.outbox.close_code().is_none()
    }

    /// Returns the bytes that wait for the peer, frame headers included.
    pub fn bytes(&self) -> usize {
        self.outgoing.borrow().outbox.bytes()
    }

    /// Returns the bound on [`Link::bytes`].
    pub fn bound(&self) -> usize {
        self.outgoing.borrow().outbox.bound()
    }

    /// Returns the share of the bound on all connections together.
    pub const fn share(&self) -> &Rc<WorkerShare> {
        &self.share
    }

    /// Returns when something was last received from the peer, at first when the link was opened.
    pub fn last_seen(&self) -> Instant {
        self.last_seen.get()
    }

    /// Whether anything was read since the link was opened.
    pub fn is_heard(&self) -> bool {
        self.heard.get()
    }

    /// Returns since when something waits that the socket did not take.
    pub fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    /// Returns whether nothing is received until [`Link::resume_reading`].
    pub fn is_paused(&self) -> bool {
        self.hold.get() == Hold::Paused
    }

    pub(super) fn close_code(&self) -> Option<u16> {
        self.outgoing.borrow().outbox.close_code()
    }

    pub(super) fn hold(&self) -> Hold {
        self.hold.get()
    }

    pub(super) fn set_hold(&self, hold: Hold) {
        self.hold.set(hold);
    }

    /// Notes that something was received from the peer.
    pub(super) fn touch(&self) {
        self.last_seen.set(Instant::now());
        self.heard.set(true);
    }

    /// Sets the waker to notify.
    pub(super) fn listen(&self, waker: &Waker) {
        let known = self.waker.take().filter(|known| known.will_wake(waker));
        self.waker.set(Some(known.unwrap_or_else(|| waker.clone())));
    }

    /// Flushes as far as the socket allows, and registers the task for the rest. Returns whether
    /// the outbox is empty.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> io::Result<bool> {
        if let Some(kind) = self.failure.take() {
            return Err(kind.into());
        }
        while self.try_flush()? == Flush::Blocked {
            let outgoing = self.outgoing.borrow();
            let Some(write) = &outgoing.write else { break };
            match write.as_ref().poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes the write half for good. What is queued is dropped.
    pub(super) fn take_write(&self) -> Option<OwnedWriteHalf> {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.outbox.discard();
        self.charge(0);
        outgoing.write.take()
    }

    /// Ends the write side: dropping the write half shuts its direction down.
    pub(super) fn release(&self) {
        drop(self.take_write());
        self.blocked_since.set(None);
    }

    /// Frees everything of the connection, because the handle may outlive it.
    pub(super) fn end(&self) {
        self.release();
        self.waker.set(None);
    }

    fn try_flush(&self) -> io::Result<Flush> {
        let Outgoing { write, outbox } = &mut *self.outgoing.borrow_mut();
        let Some(write) = write else { return Ok(Flush::Empty) };
        let flushed = outbox.flush(write)?;
        self.note(flushed);
        self.charge(if flushed == Flush::Blocked { outbox.bytes() } else { 0 });
        Ok(flushed)
    }

    fn charge(&self, bytes: usize) {
        let was = self.charged.replace(bytes);
        if was != bytes {
            self.share.charge(was, bytes);
        }
    }

    fn note(&self, flushed: Flush) {
        match (flushed, self.blocked_since.get()) {
            (Flush::Blocked, None) => self.blocked_since.set(Some(Instant::now())),
            (Flush::Empty, Some(_)) => self.blocked_since.set(None),
            (Flush::Blocked, Some(_)) | (Flush::Empty, None) => {}
        }
    }

    fn wake(&self) {
        let waker = self.waker.take();
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        self.waker.set(waker);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.charge(0);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("outbox", &self.outgoing.borrow().outbox)
            .field("last_seen", &self.last_seen)
            .field("hold", &self.hold)
            .finish_non_exhaustive()
    }
}
