//! Standard output of commands. Its reader may close it at any time.

use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use super::CliFailure;

/// Prints a line.
pub(super) fn print_line(line: impl Display) -> Result<(), CliFailure> {
    writeln!(io::stdout(), "{line}").map_err(output_failure)
}

/// Prints a text that has its own line breaks.
pub(super) fn print_text(text: &str) -> Result<(), CliFailure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(output_failure)
}

/// The reader of standard output. A command that prints seldom watches whether it is still there.
pub(super) struct OutputReader(Option<Sender>);

impl OutputReader {
    /// Watches a pipe, a socket or a terminal. A file has no reader that could close it.
    pub(super) fn of_output() -> Self {
        let descriptor = io::stdout().as_fd().try_clone_to_owned();
        // Unchecked: a terminal or a socket can be watched like a pipe. Nothing is written through it.
        Self(descriptor.and_then(Sender::from_owned_fd_unchecked).ok())
    }

    /// Waits for the next thing to print. Fails as soon as the reader has closed the output.
    pub(super) async fn unless_gone<T>(
        &self,
        next: impl Future<Output = T>,
    ) -> Result<T, CliFailure> {
        tokio::select! {
            next = next => Ok(next),
            () = self.gone() => Err(CliFailure::Unread),
        }
    }

    async fn gone(&self) {
        match &self.0 {
            // If the watch itself fails, the next write shows whether the reader is gone.
            Some(watch) if watch.ready(Interest::ERROR).await.is_ok() => {}
            _ => pending().await,
        }
    }
}

/// Why standard output cannot be written. A reader that closed it is no failure.
pub(super) fn output_failure(error: io::Error) -> CliFailure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CliFailure::Unread,
        _ => CliFailure::Failed(format!("cannot write to standard output: {error}")),
    }
}
