//! The place of a key, as an operator would write it.

use std::fmt;

use super::error::may_be_secret;
use super::name::is_name;
use crate::secret::MASKED;

/// The path of a key: `limits.frame_bytes`, `auth.keys[0].kid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Item(usize),
}

impl KeyPath {
    /// Returns the path of `key` in the table at this path.
    pub(super) fn child(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// Returns the path of an item of the list at this path; the first is 0.
    pub(super) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// Returns this path, then each path that contains it, nearest first. The whole document is
    /// last.
    pub(super) fn upwards(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).rev().map(|length| Self(self.0[..length].to_vec()))
    }

    /// Whether `other` is this path or inside it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl<K: AsRef<str>> FromIterator<K> for KeyPath {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.as_ref().to_owned())).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str(if place == 0 { "" } else { "." })?;
                    write_key(f, key)?;
                }
            }
        }
        Ok(())
    }
}

/// Quotes what TOML would have quoted, so that no key can break a line or look like two. Masks a
/// secret in the place of a key.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    if may_be_secret(key) && !is_name(key) {
        return f.write_str(MASKED);
    }
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(bare) { f.write_str(key) } else { write!(f, "{key:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_an_operator_would_write_it() {
        let kid = KeyPath::default().child("auth").child("keys").item(2).child("kid");
        assert_eq!(kid.to_string(), "auth.keys[2].kid");
        assert_eq!(KeyPath::from_iter(["a.b", "c\n"]).to_string(), r#""a.b"."c\n""#);
    }

    #[test]
    fn goes_up_to_the_document() {
        let path = KeyPath::from_iter(["bus"]).child("batch");
        let above: Vec<String> = path.upwards().map(|path| path.to_string()).collect();
        assert_eq!(above, ["bus.batch", "bus", ""]);
    }

    #[test]
    fn holds_itself_and_what_is_below() {
        let keys = KeyPath::from_iter(["auth", "keys"]);
        assert!(keys.holds(&keys) && keys.holds(&keys.item(0)));
        assert!(!keys.holds(&KeyPath::from_iter(["auth"])));
        assert!(!keys.holds(&KeyPath::from_iter(["auth", "keys2"])));
    }
}
