//! The log: `error` needs a person, `warn` heals itself but is counted, `info` is the node's
//! life, `debug` one connection's, `trace` frames.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // An error says that a subscriber is there already, which then stays.
    let _already_set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
