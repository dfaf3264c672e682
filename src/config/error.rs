//! All that is wrong with a configuration.

use std::fmt;

use toml::Value;

use crate::secret::MASKED;

/// The shortest secret there is, a key for tokens. A text of this length may be one in a wrong
/// place.
const SECRET_BYTES_MIN: usize = 32;

/// How many characters of a given value an error repeats. The rest is cut, so that the error stays
/// on one line.
const SHOWN_CHARS: usize = 80;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the default.
    Default,
    /// The configuration file.
    File,
    /// The environment variable of this name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File => f.write_str("from the file"),
            Self::Variable(name) => write!(f, "from {name}"),
        }
    }
}

/// One mistake: the key, the value given (unless it may be a secret), what is allowed, and where
/// the value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    value: Option<String>,
    complaint: String,
    origin: Option<Origin>,
}

impl ConfigError {
    pub(super) fn new(key: impl fmt::Display, complaint: impl Into<String>) -> Self {
        Self { key: key.to_string(), value: None, complaint: complaint.into(), origin: None }
    }

    /// Adds the value given, which [`quoted`] or [`shown`] made harmless.
    pub(super) fn value(self, value: impl fmt::Display) -> Self {
        Self { value: Some(cut(value.to_string())), ..self }
    }

    pub(super) fn origin(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// The key, as `limits.frame_bytes` or `auth.keys[0].kid`. It is `line N, column M` where the text is not
    /// TOML, and the variable's name where that names no key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the value comes from, if that is known.
    pub fn said_by(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.complaint)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// All mistakes of a configuration, in the order of reading; at least one. Prints the count, then
/// one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Returns `Ok` if there are none.
    pub(super) fn check(mistakes: Vec<ConfigError>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self(mistakes)) }
    }

    /// Returns each mistake.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(mistake: ConfigError) -> Self {
        Self(vec![mistake])
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} mistake{plural} in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Returns the kind of a value, for places where the value could show a secret.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Whether a text may be a secret in a wrong place: it is as long as a key, or looks like a URL
/// with a password.
pub(super) fn may_be_secret(text: &str) -> bool {
    text.len() >= SECRET_BYTES_MIN || text.contains(['@', '?'])
}

/// Returns a text as TOML, masked if it may be a secret.
pub(super) fn quoted(text: &str) -> String {
    if may_be_secret(text) { MASKED.to_owned() } else { format!("{text:?}") }
}

/// Returns what was given as a path as TOML, masked if it is none and may be a secret.
pub(super) fn shown_path(text: &str) -> String {
    if text.starts_with(['/', '.']) { format!("{text:?}") } else { quoted(text) }
}

/// Returns a plain value as TOML, masked if it may be a secret. A list or table may hold anything,
/// so it is returned by its kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Table(_) => kind(value).to_owned(),
        plain => plain.to_string(),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_key_value_bound_and_origin() {
        let mistake =
            ConfigError::new("workers", "1 to 64 is allowed").value(99).origin(Origin::File);
        assert_eq!(mistake.to_string(), "workers = 99: 1 to 64 is allowed (from the file)");
    }

    #[test]
    fn says_the_count_first() {
        let mistakes = ConfigErrors(vec![ConfigError::new("a", "no"), ConfigError::new("b", "no")]);
        assert_eq!(mistakes.to_string(), "2 mistakes in the configuration\n  a: no\n  b: no");
        let one = ConfigErrors(vec![ConfigError::new("a", "no")]);
        assert!(one.to_string().starts_with("1 mistake in"));
    }

    #[test]
    fn cuts_what_is_long_at_a_character() {
        let mistake = ConfigError::new("k", "no").value("ä".repeat(SHOWN_CHARS + 1));
        assert_eq!(mistake.to_string(), format!("k = {}...: no", "ä".repeat(SHOWN_CHARS)));
    }
}
