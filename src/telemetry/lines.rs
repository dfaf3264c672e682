//! Lines for a stream that may be slow, full or gone. Writing one never waits; a line that finds
//! the queue full is dropped and counted.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

/// Lines that may wait for the stream; one more is dropped.
const LINES_MAX: usize = 4096;

/// The queue before a stream, whose thread writes the lines one by one.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Arc<Queue>,
    dropped: Counter,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    is_writing: bool,
}

impl State {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.waiting.is_empty()
    }
}

impl Lines {
    /// Starts the thread of a stream. If no thread can be started, lines wait until the queue is
    /// full. Such a process cannot start the threads of a node either, and ends.
    pub(super) fn start(stream: impl Write + Send + 'static) -> Self {
        let lines = Self { queue: Arc::default(), dropped: Counter::default() };
        let writer = lines.clone();
        let thread = std::thread::Builder::new().name("nc-log".into());
        drop(thread.spawn(move || writer.write_all_to(stream)));
        lines
    }

    /// Queues a line, its line break included.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.queue.state.lock();
        if state.waiting.len() == LINES_MAX {
            self.dropped.inc();
        } else {
            state.waiting.push_back(line.to_vec());
            self.queue.changed.notify_all();
        }
    }

    /// Waits until all lines are written, for `bound` at most.
    pub(super) fn flush(&self, bound: Duration) {
        let mut state = self.queue.state.lock();
        // After the bound the reader of the stream has had its time.
        let _late = self.queue.changed.wait_while_for(&mut state, |state| state.is_busy(), bound);
    }

    /// Counts the lines that found the queue full, or that the stream refused.
    pub(super) const fn dropped(&self) -> &Counter {
        &self.dropped
    }

    fn write_all_to(&self, mut stream: impl Write) {
        loop {
            let line = self.take();
            if stream.write_all(&line).is_err() {
                self.dropped.inc();
            }
        }
    }

    /// The next line, which counts as being written until another one is taken.
    fn take(&self) -> Vec<u8> {
        let mut state = self.queue.state.lock();
        state.is_writing = false;
        self.queue.changed.notify_all();
        self.queue.changed.wait_while(&mut state, |state| state.waiting.is_empty());
        state.is_writing = true;
        state.waiting.pop_front().expect("one waits")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A stream that takes a line when its reader does.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped() -> (Lines, Receiver<Vec<u8>>) {
        let (written, read) = sync_channel(0);
        (Lines::start(Pipe(written)), read)
    }

    #[test]
    fn a_stream_that_takes_nothing_keeps_nobody_waiting() {
        let (lines, read) = piped();
        lines.push(b"first\n");
        // The thread may hold one line besides those that wait.
        (0..=LINES_MAX).for_each(|_| lines.push(b"more\n"));
        assert!((1..=2).contains(&lines.dropped().get()), "{}", lines.dropped().get());
        lines.flush(Duration::from_millis(1));
        assert_eq!(read.recv_timeout(PATIENCE).unwrap(), b"first\n");
    }

    #[test]
    fn a_stream_that_is_gone_costs_lines_alone() {
        let (lines, read) = piped();
        drop(read);
        lines.push(b"one\n");
        lines.push(b"two\n");
        lines.flush(PATIENCE);
        assert_eq!(lines.dropped().get(), 2);
    }

    #[test]
    fn what_was_written_before_the_end_is_there() {
        let (lines, read) = piped();
        let reader = std::thread::spawn(move || read.iter().take(100).count());
        (0..100).for_each(|_| lines.push(b"line\n"));
        lines.flush(PATIENCE);
        assert_eq!((reader.join().unwrap(), lines.dropped().get()), (100, 0));
    }
}
