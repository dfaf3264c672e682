//! What comes from a node, printed: for people on a terminal, else one JSON object a line.

use std::io::{self, IsTerminal};

use serde_json::Value;

use super::CliFailure;
use super::output::print_line;
use crate::domain::UserId;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How a command prints messages and frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// Time, who, and what.
    People {
        /// Whether the terminal may be sent colours.
        has_colour: bool,
    },
    /// One JSON object a line.
    Json,
}

impl Display {
    /// By what standard output is, and by `NO_COLOR`.
    pub(super) fn of_output() -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() { Self::People { has_colour: !is_plain } } else { Self::Json }
    }

    /// Prints a message.
    pub(super) fn print_message(self, message: &Value) -> Result<(), CliFailure> {
        match self {
            Self::Json => print_line(message),
            Self::People { .. } => {
                let from = raw_id(text(&message["from"]));
                print_line(self.line(&message["sent_at"], &from, &spoken(&message["body"])))
            }
        }
    }

    /// Prints a frame.
    pub(super) fn print_frame(self, frame: &Value) -> Result<(), CliFailure> {
        match self {
            Self::Json => print_line(frame),
            Self::People { .. } => print_line(self.frame_line(frame)),
        }
    }

    fn frame_line(self, frame: &Value) -> String {
        match text(&frame["op"]) {
            "ok" => "done".to_owned(),
            "event" => self.line(&frame["at"], text(&frame["subject"]), &spoken(&frame["data"])),
            "message" => {
                let message = &frame["message"];
                let who = named(&message["from"], &message["conversation"]);
                self.line(&message["sent_at"], &who, &spoken(&message["body"]))
            }
            "signal" => {
                let what = format!("{} {}", text(&frame["name"]), spoken(&frame["data"]));
                self.line(&frame["at"], &named(&frame["from"], &frame["conversation"]), &what)
            }
            op => self.line(&frame["at"], op, &frame.to_string()),
        }
    }

    fn line(self, millis: &Value, who: &str, what: &str) -> String {
        let (time, who, what) = (time(millis), visible(who), visible(what));
        match self {
            Self::People { has_colour: true } => {
                format!("{DIM}{time}{PLAIN}  {BOLD}{who}{PLAIN}  {what}")
            }
            _ => format!("{time}  {who}  {what}"),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text as it is, and any other JSON as JSON.
fn spoken(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn named(from: &Value, conversation: &Value) -> String {
    format!("{} in {}", raw_id(text(from)), text(conversation))
}

/// Returns the raw id of one that is spelled as in frames.
fn raw_id(id: &str) -> String {
    UserId::parse(id)
        .map_or_else(|_| id.to_owned(), |id| String::from_utf8_lossy(&id.to_raw()).into_owned())
}

/// Writes out what would move the cursor or turn the direction of the text: users write messages,
/// and a terminal obeys them.
fn visible(text: &str) -> String {
    let obeyed =
        |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Returns a time of frames, integer milliseconds since the Unix epoch, as a date and time in UTC.
fn time(millis: &Value) -> String {
    const DAY_S: u64 = 86_400;
    let Some(seconds) = millis.as_u64().map(|millis| millis / 1000) else { return "-".into() };
    let (year, month, day) = date(seconds / DAY_S);
    let (hour, minute, second) = (seconds % DAY_S / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Returns the date of a day since 1970-01-01. Years begin in March here, so that a leap day is the
/// last day of its year.
fn date(day: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let day = day + 719_468;
    let (era, day) = (day / ERA_DAYS, day % ERA_DAYS);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN_TEXT: Display = Display::People { has_colour: false };

    #[test]
    fn people_read_time_who_and_what() {
        let at = 1_795_959_108_058_u64;
        for (frame, line) in [
            (
                json!({"op": "event", "subject": "topic.a", "data": {"b": 1}, "at": at}),
                r#"2026-11-29 13:31:48Z  topic.a  {"b":1}"#,
            ),
            (
                json!({"op": "signal", "conversation": "room.l", "name": "typing", "from": "b%2Ec", "data": {}, "at": at}),
                "2026-11-29 13:31:48Z  b.c in room.l  typing {}",
            ),
            (
                json!({"op": "message", "message": {"conversation": "dm.a.b", "from": "a", "body": "Hi!", "sent_at": at}}),
                "2026-11-29 13:31:48Z  a in dm.a.b  Hi!",
            ),
            (json!({"op": "ok", "id": 1}), "done"),
        ] {
            assert_eq!(PLAIN_TEXT.frame_line(&frame), line);
        }
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        let line = PLAIN_TEXT.line(&json!(0), "a\rb", "\x1b[2J\u{202E}\n\u{7}ü");
        let shown = r"1970-01-01 00:00:00Z  a\rb  \u{1b}[2J\u{202e}\n\u{7}ü";
        assert_eq!(line, shown);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_786, (2026, 11, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(day), expected);
        }
    }
}
