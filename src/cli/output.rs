//! What commands print on standard output, for whoever still reads it.

use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use super::Failure;

/// Prints a line.
pub(super) fn print_line(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(output_failure)
}

/// Prints a text that ends its last line itself.
pub(super) fn print_text(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(output_failure)
}

/// Whoever reads standard output, watched by a command that may have nothing to print for long.
pub(super) struct Reader(Option<Sender>);

impl Reader {
    /// Watches, where the kernel tells: of a file it does not, which nobody leaves either.
    pub(super) fn of_output() -> Self {
        let descriptor = io::stdout().as_fd().try_clone_to_owned();
        // Unchecked, since a terminal or a socket is watched as a pipe is; nothing is written by it.
        Self(descriptor.and_then(Sender::from_owned_fd_unchecked).ok())
    }

    /// Waits for something to print, as long as there is somebody to read it.
    pub(super) async fn unless_gone<T>(&self, next: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            next = next => Ok(next),
            () = self.gone() => Err(Failure::Unread),
        }
    }

    async fn gone(&self) {
        match &self.0 {
            // An error of the watch itself would say so for ever.
            Some(watch) if watch.ready(Interest::ERROR).await.is_ok() => {}
            _ => pending().await,
        }
    }
}

/// Why standard output cannot be written: a reader who has enough is no mistake.
pub(super) fn output_failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Failed(format!("cannot write to standard output: {error}")),
    }
}
