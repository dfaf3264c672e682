//! Where each value comes from, and what was wrong with it.

use std::collections::BTreeMap;

use super::error::{ConfigError, ConfigErrors, Origin};
use super::key_path::KeyPath;

/// Where the values come from that are not defaults.
#[derive(Default)]
pub(super) struct ValueOrigins(BTreeMap<KeyPath, Origin>);

impl ValueOrigins {
    /// Returns where the value of a key comes from: the key's own origin, or that of the nearest
    /// table around it.
    pub(super) fn of(&self, path: &KeyPath) -> Origin {
        let nearest = path.upwards().find_map(|path| self.0.get(&path).cloned());
        nearest.unwrap_or(Origin::Default)
    }
}

/// Notes made while a configuration is put together and read. Not `Debug`, because a variable's
/// text may be a secret.
#[derive(Default)]
pub(super) struct Provenance {
    origins: ValueOrigins,
    texts: BTreeMap<KeyPath, String>,
    mistaken: Vec<KeyPath>,
    mistakes: Vec<ConfigError>,
}

impl Provenance {
    /// Notes where the value at `path` comes from.
    pub(super) fn said(&mut self, path: KeyPath, origin: Origin) {
        self.origins.0.insert(path, origin);
    }

    /// Notes an environment variable as it was written. Returns false if another variable gave the
    /// same key.
    /// key.
    pub(super) fn wrote(&mut self, path: KeyPath, text: String) -> bool {
        self.texts.insert(path, text).is_none()
    }

    /// Returns the environment variable for exactly this key, as it was written.
    pub(super) fn written(&self, path: &KeyPath) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Adds a mistake at a key, with the key's origin.
    pub(super) fn mistake(&mut self, path: KeyPath, mistake: ConfigError) {
        let origin = self.origin(&path);
        self.mistaken.push(path);
        self.mistakes.push(mistake.origin(origin));
    }

    /// Adds a mistake at no key.
    pub(super) fn unknown_keys(&mut self, mistake: ConfigError) {
        self.mistakes.push(mistake);
    }

    /// Whether the value at `path`, a part of it, or a table around it already has a mistake, so
    /// that nothing follows from the value.
    pub(super) fn is_mistaken(&self, path: &KeyPath) -> bool {
        self.mistaken.iter().any(|mistaken| mistaken.holds(path) || path.holds(mistaken))
    }

    /// Returns where the values come from, if nothing was wrong.
    pub(super) fn close(self) -> Result<ValueOrigins, ConfigErrors> {
        ConfigErrors::check(self.mistakes).map(|()| self.origins)
    }

    fn origin(&self, path: &KeyPath) -> Origin {
        self.origins.of(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_covers_what_lies_in_it() {
        let mut provenance = Provenance::default();
        let keys = KeyPath::from_iter(["auth", "keys"]);
        provenance.said(keys.clone(), Origin::File);
        assert_eq!(provenance.origin(&keys.item(0).child("kid")), Origin::File);
        assert_eq!(provenance.origin(&KeyPath::from_iter(["auth"])), Origin::Default);
    }

    #[test]
    fn a_mistake_spoils_what_it_is_part_of_and_what_is_part_of_it() {
        let mut provenance = Provenance::default();
        let batch = KeyPath::from_iter(["bus", "batch"]);
        provenance.mistake(batch.clone(), ConfigError::new(&batch, "no"));
        assert!(provenance.is_mistaken(&batch) && provenance.is_mistaken(&batch.item(0)));
        assert!(provenance.is_mistaken(&KeyPath::from_iter(["bus"])));
        assert!(!provenance.is_mistaken(&KeyPath::from_iter(["bus", "reply_ms"])));
        assert!(provenance.close().is_err());
    }
}
