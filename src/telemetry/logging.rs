//! The log: `error` needs a person, `warn` heals itself but is counted, `info` is the node's
//! life, `debug` one connection's, `trace` frames.
//!
//! All that a process says on its standard error passes one queue ([`Lines`]), so that a reader
//! who is gone or slow, or a full disk, costs lines and never a node.

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

use super::lines::Lines;

/// How long the end of a process waits for its last lines to be taken.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static STANDARD_ERROR: LazyLock<Lines> = LazyLock::new(|| Lines::start(standard_error()));

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.log: {0}")]
pub struct BadFilter(#[from] tracing_subscriber::filter::ParseError);

/// Sends this process's log to its standard error. Only the first call of a process takes effect.
pub fn init_logging(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // The crate would report what it cannot format straight to standard error.
        .log_internal_errors(false)
        .with_writer(|| Queued);
    // An error says that a subscriber is there already, which then stays.
    let _already_set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

/// Says a line on standard error that is no line of the log, as the reason why a command failed.
pub fn say_error(text: impl Display) {
    STANDARD_ERROR.push(format!("{text}\n").as_bytes());
}

/// Waits, for a second at most, until all that was said on standard error is written. For the end
/// of a process.
pub fn flush_errors() {
    STANDARD_ERROR.flush(FLUSH_MAX);
}

/// Has panics say why on standard error as everything else is said there: the usual way waits for
/// a reader, and a node that waits there is half dead and holds its sessions.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        say_error(panic_report(panic));
        flush_errors();
    }));
}

/// Lines of this process that were not written.
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
/// stream takes nothing.
fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// What the log writes to. The whole of a line comes at once.
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
