//! Defaults, file and environment, each laid over the one before.
//!
//! Tables merge key by key. All else, lists included, replaces what was below. `layouts` replaces
//! as well, because a default layout that is left over would be one that the operator never named.
//! A new layout starts from the default one, so it need not repeat the bucket counts.

use std::ffi::OsString;

use toml::{Table, Value};

use super::error::{ConfigError, ConfigErrors, Origin, kind};
use super::key_path::KeyPath;
use super::provenance::{Provenance, ValueOrigins};
use super::section::Section;

/// The reference documentation, and every default.
pub(super) const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

const VARIABLE_PREFIX: &str = "NARROWCAST__";
/// What a variable begins with whose writer forgot an underscore.
const SHORT_PREFIX: &str = "NARROWCAST_";
const VARIABLE_SEPARATOR: &str = "__";

/// The tables that a variable's name may go down; the deepest key has four. It bounds the recursion
/// over them.
const VARIABLE_DEPTH_MAX: usize = 8;

const LAYOUTS: &str = "layouts";

/// The default layout: what a new one starts from.
const TEMPLATE: &str = "a";

/// The values of all layers so far.
pub(super) struct Layers {
    table: Table,
    defaults: Table,
    template: Table,
    provenance: Provenance,
}

impl Layers {
    /// The defaults alone.
    pub(super) fn defaults() -> Self {
        let table: Table = DEFAULT_TOML.parse().expect("default.toml is TOML: every test loads it");
        let template = table[LAYOUTS][TEMPLATE].as_table().expect("default.toml has layouts.a");
        Self {
            template: template.clone(),
            defaults: table.clone(),
            table,
            provenance: Provenance::default(),
        }
    }

    /// Lays the operator's file on top. An error is the only mistake that is reported, because the
    /// rest cannot be read.
    pub(super) fn file(&mut self, text: &str) -> Result<(), ConfigError> {
        let over: Table = text.parse().map_err(|error| syntax_mistake(text, &error))?;
        self.make_room(over.get(LAYOUTS));
        self.lay(over, Origin::File);
        Ok(())
    }

    /// Lays the environment on top: every variable that starts with `NARROWCAST__`.
    pub(super) fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) {
        let prefix = VARIABLE_PREFIX.as_bytes();
        let is_ours = |name: &OsString| name.as_encoded_bytes().starts_with(prefix);
        let (mut ours, others): (Vec<_>, Vec<_>) =
            variables.into_iter().partition(|(name, _)| is_ours(name));
        others.iter().filter_map(|(name, _)| name.to_str()).for_each(|name| self.near_miss(name));
        // The environment has no order. Sorted, a table comes before the keys in it, which refine
        // it.
        ours.sort();
        for (name, value) in ours {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(text)) => self.variable(name, text),
                (Ok(name), Err(_)) => self.refuse_variable(&name, "a value in UTF-8 is required"),
                (Err(name), _) => {
                    self.refuse_variable(&name.to_string_lossy(), "a name in UTF-8 is required");
                }
            }
        }
    }

    /// Reads the values. Returns all mistakes, of the layers and of the reading, if there are any.
    pub(super) fn read<T>(
        mut self,
        read: impl FnOnce(&mut Section) -> T,
    ) -> Result<(T, ValueOrigins), ConfigErrors> {
        let resolved = Section::document(&mut self.provenance, self.table, read);
        self.provenance.close().map(|origins| (resolved, origins))
    }

    fn variable(&mut self, name: String, text: String) {
        let Some(keys) = variable_keys(&name) else {
            return self
                .provenance
                .unknown_keys(ConfigError::new(&name, "NARROWCAST__SECTION__KEY is required"));
        };
        let path = KeyPath::from_iter(&keys);
        let value = text.trim().parse().unwrap_or_else(|_| Value::String(text.clone()));
        if !self.provenance.wrote(path.clone(), text) {
            return self
                .provenance
                .unknown_keys(ConfigError::new(name, format!("{path} is set twice")));
        }
        let over = nest(keys, value);
        if path == KeyPath::from_iter([LAYOUTS]) {
            self.make_room(over.get(LAYOUTS));
        }
        self.lay(over, Origin::Variable(name));
    }

    /// Reports a variable that names a key with single underscores. It would be ignored. Variables
    /// of other programs, such as those of a container service of our name, name no key.
    fn near_miss(&mut self, name: &str) {
        let Some(rest) = name.strip_prefix(SHORT_PREFIX) else { return };
        let rest = rest.to_lowercase();
        let (table, key) = rest.split_once('_').unwrap_or((&rest, ""));
        let key = key.trim_start_matches('_');
        let meant = match self.defaults.get(table) {
            Some(Value::Table(keys)) if keys.contains_key(key) => format!("{table}__{key}"),
            Some(Value::Table(_)) | None => return,
            Some(_) if key.is_empty() => table.to_owned(),
            Some(_) => return,
        };
        let complaint =
            format!("write {VARIABLE_PREFIX}{}, with two underscores", meant.to_uppercase());
        self.provenance.unknown_keys(ConfigError::new(name, complaint));
    }

    /// Reports a variable that cannot be read.
    fn refuse_variable(&mut self, name: &str, wanted: &str) {
        self.provenance.unknown_keys(ConfigError::new(format_args!("{name:?}"), wanted));
    }

    fn lay(&mut self, over: Table, origin: Origin) {
        let mut overlay =
            Overlay { template: &self.template, provenance: &mut self.provenance, origin };
        overlay.lay(&mut self.table, over, &KeyPath::default());
    }

    /// Empties the table of layouts if `given` replaces it.
    fn make_room(&mut self, given: Option<&Value>) {
        if given.is_some_and(Value::is_table) {
            self.table.insert(LAYOUTS.to_owned(), Value::Table(Table::new()));
        }
    }
}

/// One layer that is being laid over those below it.
struct Overlay<'l> {
    template: &'l Table,
    provenance: &'l mut Provenance,
    origin: Origin,
}

impl Overlay<'_> {
    fn lay(&mut self, base: &mut Table, over: Table, at: &KeyPath) {
        let layouts = *at == KeyPath::from_iter([LAYOUTS]);
        for (key, value) in over {
            let path = at.child(&key);
            if layouts && !base.contains_key(&key) {
                base.insert(key.clone(), Value::Table(self.template.clone()));
                self.provenance.said(path.clone(), self.origin.clone());
            }
            self.lay_value(base, key, value, path);
        }
    }

    fn lay_value(&mut self, base: &mut Table, key: String, value: Value, path: KeyPath) {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => self.lay(under, over, &path),
            (Some(Value::Table(_)), other) => self.refuse(path, &other),
            (_, value) => {
                self.provenance.said(path, self.origin.clone());
                base.insert(key, value);
            }
        }
    }

    /// Reports a value that is not a table. The value below stays, so that its keys are not
    /// reported missing as well.
    fn refuse(&mut self, path: KeyPath, given: &Value) {
        let mistake =
            ConfigError::new(&path, format!("a table is required, {} was given", kind(given)));
        self.provenance.said(path.clone(), self.origin.clone());
        self.provenance.mistake(path, mistake);
    }
}

/// Returns the keys that a variable names; none if it names no key.
fn variable_keys(name: &str) -> Option<Vec<String>> {
    let keys = name.strip_prefix(VARIABLE_PREFIX)?.split(VARIABLE_SEPARATOR);
    let keys: Vec<String> = keys.map(str::to_lowercase).collect();
    let sound = keys.len() <= VARIABLE_DEPTH_MAX && keys.iter().all(|key| !key.is_empty());
    sound.then_some(keys)
}

/// Returns the document that has `value` at `keys`.
fn nest(keys: Vec<String>, value: Value) -> Table {
    let mut keys = keys.into_iter();
    let first = keys.next().unwrap_or_default();
    let within = |inner, key| Value::Table(Table::from_iter([(key, inner)]));
    Table::from_iter([(first, keys.rev().fold(value, within))])
}

/// Reports the place and not its text, which may hold a secret.
fn syntax_mistake(text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().map_or(0, |begun| begun.chars().count());
    ConfigError::new(format_args!("line {line}, column {column}"), error.message())
        .origin(Origin::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str) -> Option<Vec<String>> {
        variable_keys(name)
    }

    #[test]
    fn a_variable_names_its_keys() {
        assert_eq!(keys("NARROWCAST__NAMESPACE").unwrap(), ["namespace"]);
        let deep = keys("NARROWCAST__LAYOUTS__A__BUCKETS__USER").unwrap();
        assert_eq!(deep, ["layouts", "a", "buckets", "user"]);
        assert_eq!(keys("NARROWCAST__STORE__WRITE_QUEUE").unwrap(), ["store", "write_queue"]);
    }

    #[test]
    fn a_variable_with_one_underscore_is_told_how_to_be_written() {
        let told = |name: &str| {
            let mut layers = Layers::defaults();
            layers.environment([(name.into(), "1".into())]);
            layers.provenance.close().err().map(|mistakes| mistakes.to_string())
        };
        for (name, meant) in [
            ("NARROWCAST_LISTEN_CLIENTS", "write NARROWCAST__LISTEN__CLIENTS,"),
            ("NARROWCAST_LIMITS__FRAME_BYTES", "write NARROWCAST__LIMITS__FRAME_BYTES,"),
            ("NARROWCAST_WORKERS", "write NARROWCAST__WORKERS,"),
        ] {
            assert!(told(name).is_some_and(|said| said.contains(meant)), "{name}");
        }
        for other in ["NARROWCAST_TOKEN", "NARROWCAST_STORE_SERVICE_HOST", "NARROWCAST_PORT"] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn a_variable_may_name_no_key() {
        let deep = format!("NARROWCAST{}", "__A".repeat(VARIABLE_DEPTH_MAX + 1));
        for name in ["NARROWCAST__", "NARROWCAST__A__", "NARROWCAST____A", deep.as_str()] {
            assert_eq!(keys(name), None, "{name}");
        }
    }
}
