//! The connection of a device. Reads and writes in progress are kept here, so that a wait for them
//! can be dropped at any time and taken up again.

use std::pin::Pin;

use tokio::time::{Instant, sleep_until};

use crate::client::connect::{ClientError, FrameSink, FrameSource, Incoming, connect_as};
use crate::domain::UserId;

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is read: none is a frame without content, such as a ping.
type Read = Result<Option<Incoming>, ClientError>;

/// The connection of a device.
pub(super) enum DeviceConnection {
    /// There is none.
    Down,
    /// It is being made.
    Calling(Task<Result<(FrameSource, FrameSink), ClientError>>),
    /// It is there.
    Up(Up),
}

/// A connection that is there.
pub(super) struct Up {
    reading: Task<(FrameSource, Read)>,
    writer: FrameSink,
    writing: Writing,
}

enum Writing {
    Idle,
    Busy(Task<Result<(), ClientError>>),
    /// A write failed. That is not the end by itself: what the node sent before, above all its
    /// close, is still to be read.
    Broken,
}

/// What happened.
pub(super) enum ConnectionStep {
    /// The time `due` has come.
    Due,
    /// The attempt to connect ended.
    Called(Result<Up, ClientError>),
    /// Something was read.
    Read(Read),
    /// A frame was written, or cannot be.
    Wrote,
}

impl DeviceConnection {
    pub(super) fn call(url: String, user: Option<UserId>) -> Self {
        Self::Calling(Box::pin(async move { connect_as(&url, user.as_ref()).await }))
    }

    /// Whether the next frame can be written.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self, Self::Up(Up { writing: Writing::Idle, .. }))
    }

    /// Begins to write a frame on an idle connection.
    pub(super) fn write(&mut self, frame: String) {
        if let Self::Up(up) = self {
            let writer = up.writer.clone();
            up.writing = Writing::Busy(Box::pin(async move { writer.send(&frame).await }));
        }
    }

    /// Waits for what happens next, until `due` at most. Cancel-safe.
    pub(super) async fn step(&mut self, due: Option<Instant>) -> ConnectionStep {
        match self {
            Self::Down => until(due).await,
            Self::Calling(call) => {
                ConnectionStep::Called(call.await.map(|(reader, writer)| Up::new(reader, writer)))
            }
            Self::Up(up) => up.step(due).await,
        }
    }
}

async fn until(due: Option<Instant>) -> ConnectionStep {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
    ConnectionStep::Due
}

impl Up {
    fn new(reader: FrameSource, writer: FrameSink) -> Self {
        Self { reading: read(reader), writer, writing: Writing::Idle }
    }

    async fn step(&mut self, due: Option<Instant>) -> ConnectionStep {
        let Self { reading, writing, .. } = self;
        tokio::select! {
            (reader, what) = &mut *reading => {
                *reading = read(reader);
                ConnectionStep::Read(what)
            }
            () = writing.done() => ConnectionStep::Wrote,
            step = until(due) => step,
        }
    }
}

impl Writing {
    /// Waits for the end of the write; without a write it waits without end. Cancel-safe.
    async fn done(&mut self) {
        let Self::Busy(task) = self else { return std::future::pending().await };
        *self = if task.await.is_ok() { Self::Idle } else { Self::Broken };
    }
}

fn read(mut reader: FrameSource) -> Task<(FrameSource, Read)> {
    Box::pin(async move {
        let what = reader.step().await;
        (reader, what)
    })
}
