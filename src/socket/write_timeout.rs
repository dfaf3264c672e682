//! The time that a peer has to take any byte of what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Bounds the writes of a stream. There is a timer only while one is stuck.
#[derive(Debug)]
pub(super) struct WriteTimeout {
    bound: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    /// Waits at most `bound` for the peer to take any byte.
    pub(super) const fn new(bound: Duration) -> Self {
        Self { bound, stuck: None }
    }

    /// Returns the outcome of a write, or an error once writes were stuck for too long.
    pub(super) fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(self.bound)));
        stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
