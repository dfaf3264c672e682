//! `[telemetry]`: what to log, and how.

use serde::ser::SerializeMap;

use super::error::{may_be_secret, quoted};
use super::key_type::{Choice, Entry, KeyType, Text};
use super::keys::keys;
use super::section::Section;
use crate::telemetry::{LogFormat, check_filter};

keys! {
    /// What to log, and how.
    pub struct TelemetryConfig {
        /// What to log, as [`check_filter`] accepts it.
        pub log: String = LogFilter,
        /// How lines are written.
        pub format: LogFormat = Choice([("text", LogFormat::Text), ("json", LogFormat::Json)]),
    }
}

/// A level or directives.
struct LogFilter;

const TEXT: Text = Text(1..=1024);

impl KeyType<String> for LogFilter {
    fn read(&self, s: &mut Section, key: &'static str) -> String {
        let log: String = TEXT.read(s, key);
        if !s.is_mistaken(key)
            && let Err(error) = check_filter(&log)
        {
            let wanted = "a level or tracing directives are required";
            // The error repeats parts of the text.
            let reason = if may_be_secret(&log) { String::new() } else { format!(": {error}") };
            s.refuse(key, quoted(&log), &format!("{wanted}{reason}"));
        }
        log
    }

    fn print<M: SerializeMap>(&self, value: &String, to: Entry<M>) -> Result<(), M::Error> {
        TEXT.print(value, to)
    }
}
