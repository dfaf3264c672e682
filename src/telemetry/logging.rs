//! The log: `error` needs a human, `warn` heals itself but is counted, `info` is the node's life,
//! `debug` one connection's, `trace` frames.
//!
//! Everything that a process writes to its standard error passes one queue ([`Lines`]). So a reader
//! that is gone or slow, or a full disk, costs lines and never a node.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::EnvFilter;

use super::format::{JsonLines, TextLines};
use super::lines::Lines;

/// How long the end of a process waits for its last lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static STANDARD_ERROR: LazyLock<Lines> = LazyLock::new(|| Lines::start(standard_error()));

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One JSON object per line.
    Json,
}

/// The filter cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.log: {0}")]
pub struct BadFilter(#[from] tracing_subscriber::filter::ParseError);

/// Checks that a text is a level or directives by which the log can be filtered.
pub fn check_filter(filter: &str) -> Result<(), impl Display + use<>> {
    EnvFilter::try_new(filter).map(drop)
}

/// Sends this process's log to its standard error. Only the first call of a process takes effect.
pub fn init_logging(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // Otherwise the crate would report what it cannot format straight to standard error.
        .log_internal_errors(false)
        .with_writer(|| Queued);
    // An error means that there is a subscriber already, which then stays.
    let _already_set = match format {
        LogFormat::Text => builder.event_format(TextLines).try_init(),
        LogFormat::Json => {
            let objects = JsonLines(tracing_subscriber::fmt::format().json());
            builder.json().event_format(objects).try_init()
        }
    };
    Ok(())
}

/// Writes a line to standard error that is not part of the log, such as the reason why a command
/// failed.
pub fn say_error(text: impl Display) {
    STANDARD_ERROR.push(format!("{text}\n").as_bytes());
}

/// Waits, for a second at most, until everything for standard error is written. It is called when a
/// process ends.
pub fn flush_errors() {
    STANDARD_ERROR.flush(FLUSH_MAX);
}

/// Makes panics report to standard error through the queue. The default way waits for a reader, and
/// a node that waits there is half dead and keeps its sessions.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        say_error(panic_report(panic));
        flush_errors();
    }));
}

/// Counts this process's lines that were not written.
pub(super) fn dropped_lines() -> Counter {
    STANDARD_ERROR.dropped().clone()
}

fn panic_report(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("thread {name} {panic}\n{backtrace}"),
        _ => format!("thread {name} {panic}"),
    }
}

/// Standard error by a descriptor of its own: the lock of the usual one would be held while the
/// stream blocks.
fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// The writer of the log. Each call gets a whole line.
struct Queued;

impl Write for Queued {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STANDARD_ERROR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
