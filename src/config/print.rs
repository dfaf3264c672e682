//! Prints a resolved configuration as TOML, with secrets masked.

use std::path::Path;
use std::time::Duration;

use serde::Serializer;

use super::secret::MASKED;
use super::{Config, Secret};

impl Config {
    /// Returns the whole configuration as TOML that can be loaded again. Secrets and the passwords
    /// in URLs are the exception: they print as `MASKED`.
    pub fn print(&self) -> String {
        toml::to_string(self).expect("tables, strings and integers within their bounds are TOML")
    }
}

pub(super) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}

pub(super) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(super) fn on_or_off<S: Serializer>(on: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *on { "on" } else { "off" })
}

/// Messages that are kept without end print as 0.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn days_or_nought<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.map_or(0, |time| time.as_secs() / 86_400))
}

/// A secret that is given prints masked.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn masked_or_empty<S: Serializer>(
    secret: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.as_ref().map_or("", |_| MASKED))
}

/// TOML has no null, so these keys print the empty string.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn or_empty<S: Serializer>(
    text: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_deref().unwrap_or_default())
}
