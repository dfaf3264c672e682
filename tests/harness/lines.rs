//! What a child process prints, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use super::PATIENCE;

/// Lines that wait to be looked at: more than any test leaves unread.
const LINES_MAX: usize = 16_384;

pub struct Lines {
    incoming: Receiver<String>,
    seen: String,
}

impl Lines {
    /// Reads a stream, if there is one, on a thread of its own, so that a full pipe never blocks
    /// its writer.
    pub fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let (found, incoming) = sync_channel(LINES_MAX);
        let Some(stream) = stream else { return Self { incoming, seen: String::new() } };
        std::thread::spawn(move || {
            let lines = BufReader::new(stream).lines();
            // The end of the test is the end of the reading.
            lines.map_while(Result::ok).try_for_each(|line| found.send(line + "\n"))
        });
        Self { incoming, seen: String::new() }
    }

    /// The next line; none at the end, or if nothing comes in time.
    pub fn next(&mut self) -> Option<String> {
        let line = self.incoming.recv_timeout(PATIENCE).ok()?;
        self.seen += &line;
        Some(line)
    }

    /// What comes from here to the end.
    pub fn rest(&mut self) -> String {
        let known = self.seen.len();
        self.all().split_off(known)
    }

    /// All lines to the end, those that were read before included.
    pub fn all(&mut self) -> String {
        loop {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(line) => self.seen += &line,
                Err(RecvTimeoutError::Disconnected) => return self.seen.clone(),
                Err(RecvTimeoutError::Timeout) => panic!("the output does not end: {}", self.seen),
            }
        }
    }
}
