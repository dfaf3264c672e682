//! A stream of requests for an HTTP parser. It shows the parser one checked head at a time, and
//! ends when none comes.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::accept::{HEADER_BYTES_MAX, HttpWaits};
use super::head::{Body, Flaw, HeadScan, body_of};
use super::http_stream::HttpStream;
use super::write_timeout::WriteTimeout;

/// Bytes of one read.
const READ_BYTES: usize = 4096;

/// What the parser is shown in place of a head with a flaw. So the refusal is written after the
/// answers to the requests before it.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The progress of the answers of a connection.
#[derive(Debug, Default)]
pub(super) struct Answering {
    under_way: Cell<bool>,
    flaw: RefCell<Option<Flaw>>,
    late: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Answering {
    /// Notes that a head was parsed. Returns its flaw if it stands in for one with a flaw.
    pub(super) fn begin(&self) -> Option<Flaw> {
        self.under_way.set(true);
        self.flaw.borrow_mut().take()
    }

    /// Notes that its answer is made. The stream goes on with requests.
    pub(super) fn end(&self) {
        self.under_way.set(false);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether the stream was ended because no head came in time.
    pub(super) fn is_late(&self) -> bool {
        self.late.get()
    }
}

/// What comes next.
#[derive(Debug)]
enum Part {
    Head(HeadScan),
    Body(Body),
    /// A head that is too long. The parser refuses it.
    Endless,
    /// Nothing: the last request was refused.
    Over,
}

/// A stream of requests.
pub(super) struct Requests<'a> {
    stream: TcpStream,
    write_timeout: WriteTimeout,
    waits: HttpWaits,
    answering: &'a Answering,
    /// Called after each read of something.
    heard: &'a dyn Fn(),
    part: Part,
    /// What was read and not passed on.
    held: Vec<u8>,
    /// How much of it may be passed on.
    passed: usize,
    /// The end of the time for what is awaited.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether there was a request before.
    kept: bool,
}

impl<'a> Requests<'a> {
    /// Starts before the first request of a stream.
    pub(super) fn new(
        stream: HttpStream,
        waits: HttpWaits,
        answering: &'a Answering,
        heard: &'a dyn Fn(),
    ) -> Self {
        let HttpStream { stream, unread, until, flaw } = stream;
        let mut requests = Self {
            stream,
            write_timeout: WriteTimeout::new(waits.write_stall),
            waits,
            answering,
            heard,
            part: Part::Head(HeadScan::default()),
            held: unread,
            passed: 0,
            timer: until.map(|until| Box::pin(sleep_until(until))),
            kept: false,
        };
        if let Some(flaw) = flaw {
            requests.refuse(flaw);
        }
        requests
    }

    /// Returns the stream, and what was read after the last request.
    pub(super) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.held)
    }

    fn hand_out(&mut self, out: &mut ReadBuf<'_>) {
        let bytes = self.passed.min(out.remaining());
        out.put_slice(&self.held[..bytes]);
        self.passed -= bytes;
        // A new buffer, so that an idle connection owns none.
        self.held = self.held[bytes..].to_vec();
    }

    /// Reads more. Returns 0 at the end of the stream.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        if !read.filled().is_empty() {
            (self.heard)();
        }
        self.held.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Decides how much of what is held may be passed on.
    fn judge(&mut self) {
        match &mut self.part {
            Part::Head(_) if self.held.is_empty() => {}
            Part::Head(scan) => match scan.end(&self.held) {
                Ok(end) if end.unwrap_or(self.held.len()) > HEADER_BYTES_MAX => {
                    (self.part, self.passed) = (Part::Endless, self.held.len());
                }
                Ok(Some(end)) => self.check_head(end),
                Ok(None) => {}
                Err(flaw) => self.refuse(flaw),
            },
            Part::Body(body) => {
                let (taken, ended) = body.take(&self.held);
                self.passed = taken;
                if ended {
                    self.part = Part::Head(HeadScan::default());
                }
            }
            Part::Endless => self.passed = self.held.len(),
            Part::Over => {}
        }
    }

    fn check_head(&mut self, end: usize) {
        match body_of(&self.held[..end]) {
            Ok(body) => {
                self.passed = end;
                self.part = match body {
                    Body::Length(0) => Part::Head(HeadScan::default()),
                    body => Part::Body(body),
                };
            }
            Err(flaw) => self.refuse(flaw),
        }
        (self.timer, self.kept) = (None, true);
    }

    fn refuse(&mut self, flaw: Flaw) {
        *self.answering.flaw.borrow_mut() = Some(flaw);
        self.held = STAND_IN.to_vec();
        self.passed = self.held.len();
        (self.part, self.timer) = (Part::Over, None);
    }

    /// Waits for an answer while holding what follows its request. While nothing follows, the
    /// stream is read, because its end shows that the client is gone.
    fn wait_for_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self.answering.reader.borrow_mut() = Some(cx.waker().clone());
        if self.held.is_empty() && ready!(self.fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Reads what is awaited. Returns whether there was something, before the stream or the time
    /// ended.
    fn more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let is_between = self.is_between_requests();
        if let Poll::Ready(read) = self.fill(cx)? {
            if is_between {
                // From here on the timer is for a head.
                self.timer = None;
            }
            return Poll::Ready(Ok(read > 0));
        }
        if !self.is_before_head() {
            return Poll::Pending;
        }
        let wait = if is_between { self.waits.keep_alive } else { self.waits.header };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        self.answering.late.set(true);
        Poll::Ready(Ok(false))
    }

    fn is_before_head(&self) -> bool {
        matches!(self.part, Part::Head(_)) && self.passed == 0
    }

    fn is_between_requests(&self) -> bool {
        self.kept && self.is_before_head() && self.held.is_empty()
    }

    /// Notes that the client took some of an answer: it is idle from the last of it on. Fails once the
    /// client took nothing for too long.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = self.write_timeout.check(cx, written);
        let until = Instant::now() + self.waits.keep_alive;
        if written.is_ready()
            && self.is_between_requests()
            && let Some(timer) = &mut self.timer
        {
            timer.as_mut().reset(until);
        }
        written
    }
}

impl AsyncRead for Requests<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.passed == 0 {
            if self.is_before_head() && self.answering.under_way.get() {
                return self.wait_for_answer(cx);
            }
            self.judge();
            if matches!(self.part, Part::Over) && self.passed == 0 {
                return Poll::Pending;
            }
            if self.passed == 0 && !ready!(self.more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        self.hand_out(out);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Requests<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
