//! `[telemetry]`: what to log, and how.

use std::ops::RangeInclusive;

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::error::{may_be_secret, quoted};
use super::section::Section;

const LOG_BYTES: RangeInclusive<usize> = 1..=1024;

/// What to log, and how.
#[derive(Clone, Debug, Serialize)]
pub struct TelemetryConfig {
    /// Directives of `tracing_subscriber::EnvFilter`, checked.
    pub log: String,
    /// How lines are written.
    pub format: LogFormatConfig,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormatConfig {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

impl TelemetryConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let telemetry = Self {
            log: s.sized("log", &LOG_BYTES),
            format: s.choice(
                "format",
                &[("text", LogFormatConfig::Text), ("json", LogFormatConfig::Json)],
            ),
        };
        telemetry.check_log(s);
        telemetry
    }

    fn check_log(&self, s: &mut Section) {
        if s.is_mistaken("log") {
            return;
        }
        if let Err(error) = EnvFilter::try_new(&self.log) {
            let wanted = "a level or tracing directives are required";
            // The error repeats parts of the text.
            let reason =
                if may_be_secret(&self.log) { String::new() } else { format!(": {error}") };
            s.refuse("log", quoted(&self.log), &format!("{wanted}{reason}"));
        }
    }
}
