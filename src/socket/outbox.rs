//! The queue of frames for one peer: bounded in bytes, written many frames at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload};
use tokio::net::tcp::OwnedWriteHalf;

use super::close::CloseFrame;
use super::frame::CONTROL_BYTES_MAX;

/// Pongs that may wait at once. Beyond it the newest replaces the last one, as RFC 6455, 5.5.3
/// allows. So a client that pings and never reads cannot grow the queue two bytes at a time.
pub const PONGS_QUEUED_MAX: usize = 16;

/// Bytes of the thread's write buffer, the most that one write takes. That is enough for a full
/// batch of small frames, and about what a default send buffer accepts at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Bytes of the longest header of an unmasked frame.
const HEAD_BYTES_MAX: usize = 10;

thread_local! {
    /// Taken for the length of a flush, so that an idle outbox needs no buffer of its own.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Something to send. Payloads carry no header: it is written at the flush. So one `Bytes` serves
/// every connection that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxItem {
    /// A text message. The caller guarantees that it is UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping without payload.
    Ping,
    /// The answer to a ping, with its payload. It is cut at 125 bytes, which no ping exceeds.
    Pong(Bytes),
    /// The last item. It is accepted even above the bound.
    Close(CloseFrame),
}

/// Why an item was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The queue would exceed its bound.
    #[error("outbox: {wanted} bytes with this item, at most {bound} allowed")]
    Full {
        /// Bytes that would wait.
        wanted: usize,
        /// The bound in bytes.
        bound: usize,
    },
    /// A close frame is queued or sent, or the connection is gone.
    #[error("outbox: closed")]
    Closed,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything was written.
    Empty,
    /// The socket takes no more for now.
    Blocked,
}

/// Where a flush writes to.
pub trait OutboxSink {
    /// Writes what fits, or fails with `WouldBlock`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl OutboxSink for OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        OwnedWriteHalf::try_write(self, bytes)
    }
}

/// The frames that wait for the socket. An empty outbox owns no memory.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Queued>,
    /// Bytes of the front frame that were written.
    front_written: usize,
    /// Bytes that wait, headers included.
    bytes: usize,
    bound: usize,
    pongs: usize,
    close_code: Option<u16>,
}

#[derive(Debug)]
struct Queued {
    opcode: OpCode,
    payload: Bytes,
}

impl Outbox {
    /// Makes an outbox in which at most `bound` bytes wait, frame headers included.
    pub fn new(bound: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            front_written: 0,
            bytes: 0,
            bound,
            pongs: 0,
            close_code: None,
        }
    }

    /// Returns the bytes that wait, frame headers included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bound on [`Outbox::bytes`].
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// Returns the code of the close frame, once there is one.
    pub fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// Queues all of an item, or none of it.
    pub fn push(&mut self, item: OutboxItem) -> Result<(), PushError> {
        if self.close_code.is_some() {
            return Err(PushError::Closed);
        }
        match item {
            OutboxItem::Text(payload) => self.push_bounded(OpCode::Text, payload),
            OutboxItem::Binary(payload) => self.push_bounded(OpCode::Binary, payload),
            OutboxItem::Ping => self.push_bounded(OpCode::Ping, Bytes::new()),
            OutboxItem::Pong(payload) => self.push_pong(payload),
            OutboxItem::Close(close) => {
                self.close_code = Some(close.code());
                self.enqueue(OpCode::Close, close.payload());
                Ok(())
            }
        }
    }

    /// Drops everything except a frame that is partly written. Frees its memory at once.
    pub fn discard(&mut self) {
        let kept = self.queue.pop_front().filter(|_| self.front_written > 0);
        self.queue = VecDeque::new();
        self.bytes = 0;
        self.pongs = 0;
        if let Some(front) = kept {
            self.enqueue(front.opcode, front.payload);
            self.bytes -= self.front_written;
        }
    }

    /// Writes until the queue is empty or the socket takes no more. After an error the stream is of
    /// no further use.
    pub fn flush(&mut self, sink: &impl OutboxSink) -> io::Result<Flush> {
        if self.queue.is_empty() {
            return Ok(Flush::Empty);
        }
        let mut scratch = SCRATCH.take();
        scratch.resize(SCRATCH_BYTES, 0);
        let flushed = self.flush_through(&mut scratch, sink);
        SCRATCH.set(scratch);
        flushed
    }

    fn flush_through(&mut self, scratch: &mut [u8], sink: &impl OutboxSink) -> io::Result<Flush> {
        while !self.queue.is_empty() {
            let filled = self.fill(scratch);
            let written = write_until_blocked(&scratch[..filled], sink)?;
            self.advance(written);
            if written < filled {
                return Ok(Flush::Blocked);
            }
        }
        self.queue = VecDeque::new();
        Ok(Flush::Empty)
    }

    fn push_bounded(&mut self, opcode: OpCode, payload: Bytes) -> Result<(), PushError> {
        let (wanted, bound) = (self.bytes + wire_len(payload.len()), self.bound);
        if wanted > bound {
            return Err(PushError::Full { wanted, bound });
        }
        self.enqueue(opcode, payload);
        Ok(())
    }

    fn push_pong(&mut self, mut payload: Bytes) -> Result<(), PushError> {
        payload.truncate(CONTROL_BYTES_MAX);
        if self.pongs < PONGS_QUEUED_MAX {
            return self.push_bounded(OpCode::Pong, payload);
        }
        // The back is never the front here, so no part of it was written.
        if let Some(last) = self.queue.back_mut().filter(|last| last.opcode == OpCode::Pong) {
            self.bytes = self.bytes - last.payload.len() + payload.len();
            last.payload = payload;
        }
        Ok(())
    }

    fn enqueue(&mut self, opcode: OpCode, payload: Bytes) {
        self.bytes += wire_len(payload.len());
        self.pongs += usize::from(opcode == OpCode::Pong);
        self.queue.push_back(Queued { opcode, payload });
    }

    /// Copies the next bytes of the stream into `scratch`. Returns how many.
    fn fill(&self, scratch: &mut [u8]) -> usize {
        let mut filled = 0;
        let mut skip = self.front_written;
        for frame in &self.queue {
            let (head, head_len) = frame.head();
            let payload_skip = skip.saturating_sub(head_len);
            for part in [&head[skip.min(head_len)..head_len], &frame.payload[payload_skip..]] {
                let length = part.len().min(scratch.len() - filled);
                scratch[filled..filled + length].copy_from_slice(&part[..length]);
                filled += length;
            }
            if filled == scratch.len() {
                break;
            }
            skip = 0;
        }
        filled
    }

    /// Drops what was written.
    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.front_written += written;
        while let Some(front) = self.queue.front() {
            let length = wire_len(front.payload.len());
            if self.front_written < length {
                break;
            }
            self.front_written -= length;
            self.pongs -= usize::from(front.opcode == OpCode::Pong);
            self.queue.pop_front();
        }
    }
}

impl Queued {
    /// Returns the header, in the first bytes of the array.
    fn head(&self) -> ([u8; HEAD_BYTES_MAX], usize) {
        let mut head = [0; HEAD_BYTES_MAX];
        let payload = Payload::Borrowed(&self.payload);
        let length = Frame::new(true, self.opcode, None, payload).fmt_head(&mut head);
        (head, length)
    }
}

/// Bytes of an unmasked frame (RFC 6455, section 5.2).
fn wire_len(payload_len: usize) -> usize {
    let head_len = match payload_len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => HEAD_BYTES_MAX,
    };
    head_len + payload_len
}

fn write_until_blocked(bytes: &[u8], sink: &impl OutboxSink) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match sink.try_write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
