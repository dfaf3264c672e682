//! The connection of a device. Whatever it is in the middle of is kept here, so that a wait for
//! it can be given up at any time and taken up again.

use std::pin::Pin;

use tokio::time::{Instant, sleep_until};

use crate::client::connect::{ClientError, Incoming, Reader, Writer, connect};

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is read: none is a sign of life.
type Read = Result<Option<Incoming>, ClientError>;

/// The connection of a device.
pub(super) enum Line {
    /// There is none.
    Down,
    /// It is being made.
    Calling(Task<Result<(Reader, Writer), ClientError>>),
    /// It is there.
    Up(Up),
}

/// A connection that is there.
pub(super) struct Up {
    reading: Task<(Reader, Read)>,
    writer: Writer,
    writing: Writing,
}

enum Writing {
    Idle,
    Busy(Task<Result<(), ClientError>>),
    /// A write failed. That is no end by itself: what the node said before it went, its close
    /// above all, is still to be read.
    Broken,
}

/// What has happened.
pub(super) enum Step {
    /// It is time.
    Due,
    /// There is a connection, or none can be had.
    Called(Result<Up, ClientError>),
    /// Something has come.
    Read(Read),
    /// A frame has been written, or cannot be.
    Wrote,
}

impl Line {
    pub(super) fn call(url: String) -> Self {
        Self::Calling(Box::pin(async move { connect(&url).await }))
    }

    /// Whether the next frame can be written.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self, Self::Up(Up { writing: Writing::Idle, .. }))
    }

    /// Begins to write a frame on an idle line.
    pub(super) fn write(&mut self, frame: String) {
        if let Self::Up(up) = self {
            let writer = up.writer.clone();
            up.writing = Writing::Busy(Box::pin(async move { writer.send(&frame).await }));
        }
    }

    /// Waits for what happens next, until `due` at most. Cancel-safe.
    pub(super) async fn step(&mut self, due: Option<Instant>) -> Step {
        match self {
            Self::Down => until(due).await,
            Self::Calling(call) => {
                Step::Called(call.await.map(|(reader, writer)| Up::new(reader, writer)))
            }
            Self::Up(up) => up.step(due).await,
        }
    }
}

async fn until(due: Option<Instant>) -> Step {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
    Step::Due
}

impl Up {
    fn new(reader: Reader, writer: Writer) -> Self {
        Self { reading: read(reader), writer, writing: Writing::Idle }
    }

    async fn step(&mut self, due: Option<Instant>) -> Step {
        let Self { reading, writing, .. } = self;
        tokio::select! {
            (reader, what) = &mut *reading => {
                *reading = read(reader);
                Step::Read(what)
            }
            () = writing.done() => Step::Wrote,
            step = until(due) => step,
        }
    }
}

impl Writing {
    /// Waits for the end of the write, for ever if there is none. Cancel-safe.
    async fn done(&mut self) {
        let Self::Busy(task) = self else { return std::future::pending().await };
        *self = if task.await.is_ok() { Self::Idle } else { Self::Broken };
    }
}

fn read(mut reader: Reader) -> Task<(Reader, Read)> {
    Box::pin(async move {
        let what = reader.step().await;
        (reader, what)
    })
}
