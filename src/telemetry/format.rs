//! How a line of the log is written: with the name of the node that it is about.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::node_name::with_node;

const PLAIN: &str = "\x1b[0m";

/// Lines for people: time, level, node, text. A part of the program is named where it is not ours.
pub(super) struct TextLines;

/// Lines for programs: the objects of the library, with `node`.
pub(super) struct JsonLines(pub(super) Format<Json>);

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut line)?;
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let (begin, end) = if line.has_ansi_escapes() { (colour(level), PLAIN) } else { ("", "") };
        write!(line, " {begin}{level:>5}{end} ")?;
        with_node(|node| node.map_or(Ok(()), |node| write!(line, "{node} ")))?;
        if !target.starts_with(env!("CARGO_PKG_NAME")) {
            write!(line, "{target}: ")?;
        }
        context.format_fields(line.by_ref(), event)?;
        line.write_char('\n')
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut object = String::new();
        self.0.format_event(context, Writer::new(&mut object), event)?;
        let members = object.strip_prefix('{').unwrap_or(&object);
        line.write_char('{')?;
        with_node(|node| {
            let Some(node) = node else { return Ok(()) };
            write!(line, "\"node\":{},", serde_json::Value::from(node))
        })?;
        line.write_str(members)
    }
}
