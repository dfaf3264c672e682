//! One table, read key by key. Keys that are left at the end are unknown.
//!
//! A reader that meets a mistake notes it and goes on with a stand-in value, so that all mistakes
//! are reported at once. Stand-ins are never used, because a configuration with a mistake is
//! refused as a whole.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::{Table, Value};

use super::error::{ConfigError, kind, quoted, shown};
use super::key_path::KeyPath;
use super::name::{NAME_RULE, is_name};
use super::provenance::Provenance;
use super::suggestion::nearest;

/// A table that is being read.
pub(super) struct Section<'l> {
    provenance: &'l mut Provenance,
    path: KeyPath,
    table: Table,
    asked: Vec<&'static str>,
}

impl<'l> Section<'l> {
    /// Reads a whole document.
    pub(super) fn document<T>(
        provenance: &'l mut Provenance,
        table: Table,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        Self::read(provenance, KeyPath::default(), table, read)
    }

    fn read<T>(
        provenance: &'l mut Provenance,
        path: KeyPath,
        table: Table,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        let mut section = Section { provenance, path, table, asked: Vec::new() };
        let resolved = read(&mut section);
        section.refuse_unknown();
        resolved
    }

    /// Reads the table `key`.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        let path = self.path.child(key);
        let table = self.take(key).and_then(|value| self.table_at(&path, value));
        Section::read(self.provenance, path, table.unwrap_or_default(), read)
    }

    /// Reads the table `key`. The operator chose its keys; each is a table.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        count: &RangeInclusive<usize>,
        mut read: impl FnMut(&mut Section, String) -> T,
    ) -> Vec<T> {
        let path = self.path.child(key);
        let table = self.take(key).and_then(|value| self.table_at(&path, value));
        let table = table.unwrap_or_default();
        self.check_count(key, table.len(), count);
        let mut items = Vec::with_capacity(table.len());
        for (name, value) in table {
            let path = path.child(&name);
            self.check_name(&path, &name);
            if let Some(table) = self.table_at(&path, value) {
                items.push(Section::read(self.provenance, path, table, |s| read(s, name)));
            }
        }
        items
    }

    /// Reads the list `key`. Each item is a table.
    pub(super) fn items<T>(
        &mut self,
        key: &'static str,
        count: &RangeInclusive<usize>,
        mut read: impl FnMut(&mut Section) -> Option<T>,
    ) -> Vec<T> {
        let mut items = Vec::new();
        for (path, value) in self.list(key, count) {
            if let Some(table) = self.table_at(&path, value) {
                items.extend(Section::read(self.provenance, path, table, &mut read));
            }
        }
        items
    }

    /// Reads the list `key` of strings that pass `check`.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        count: &RangeInclusive<usize>,
        wanted: &str,
        check: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut strings = Vec::new();
        for (path, value) in self.list(key, count) {
            match value {
                Value::String(text) if check(&text) => strings.push(text),
                other => self.note(path, shown(&other), wanted),
            }
        }
        strings
    }

    /// Reads the integer `key`.
    pub(super) fn integer(&mut self, key: &'static str, allowed: &RangeInclusive<u64>) -> u64 {
        let (least, most) = (allowed.start(), allowed.end());
        let Some(value) = self.take(key) else { return *least };
        let given = value.as_integer().and_then(|given| u64::try_from(given).ok());
        given.filter(|given| allowed.contains(given)).unwrap_or_else(|| {
            self.refuse(key, shown(&value), &format!("an integer, {least} to {most}, is required"));
            *least
        })
    }

    /// Reads the boolean `key`.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        let Some(value) = self.take(key) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.refuse(key, shown(&value), "true or false is required, without quotes");
            false
        })
    }

    /// Reads the string `key`, converted. Returns none, with a mistake, if it is not a string or
    /// `convert` fails.
    pub(super) fn string<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let converted = self.as_text(key, &value).and_then(convert);
        if converted.is_none() {
            self.refuse(key, shown(&value), wanted);
        }
        converted
    }

    /// Reads the string `key`, which is or holds a secret: no mistake repeats it.
    pub(super) fn sealed(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        let text = self.as_text(key, &value).map(str::to_owned);
        if text.is_none() {
            self.report(key, format!("a string is required, {} was given", kind(&value)));
        }
        text
    }

    /// Whether `key` was given, for keys that may be omitted.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Ignores `key`, which another key excludes.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.asked.push(key);
        self.table.remove(key);
    }

    /// Checks a relation: `value` of `key` must reach `floor`, which `formula` made from another
    /// key.
    pub(super) fn at_least<T: PartialOrd + Display>(
        &mut self,
        (key, value): (&'static str, T),
        (other, floor): (&'static str, T),
        formula: &str,
    ) {
        if value < floor && !self.is_mistaken(key) && !self.is_mistaken(other) {
            let formula = formula.replace("{}", &self.path.child(other).to_string());
            self.refuse(key, value, &format!("at least {floor} is required, {formula}"));
        }
    }

    /// Refuses a list whose items share a value that each must have for itself.
    pub(super) fn unique<'a>(
        &mut self,
        key: &'static str,
        what: &str,
        values: impl Iterator<Item = &'a str>,
    ) {
        let mut seen = BTreeSet::new();
        for value in values.filter(|value| !value.is_empty()) {
            if !seen.insert(value) {
                self.report(key, format!("{what} {} is given twice", quoted(value)));
            }
        }
    }

    /// Whether `key` already has a mistake, so that a relation would only repeat it.
    pub(super) fn is_mistaken(&self, key: &str) -> bool {
        self.provenance.is_mistaken(&self.path.child(key))
    }

    /// The same for a key anywhere in the document.
    pub(super) fn is_mistaken_at(&self, path: &KeyPath) -> bool {
        self.provenance.is_mistaken(path)
    }

    /// Reports a mistake and repeats the value.
    pub(super) fn refuse(&mut self, key: &str, value: impl Display, wanted: &str) {
        self.note(self.path.child(key), value, wanted);
    }

    /// Reports a mistake without the value.
    pub(super) fn report(&mut self, key: &str, complaint: impl Into<String>) {
        let path = self.path.child(key);
        let mistake = ConfigError::new(&path, complaint);
        self.provenance.mistake(path, mistake);
    }

    /// Reports a mistake at a key anywhere in the document, and repeats the value.
    pub(super) fn note(&mut self, path: KeyPath, value: impl Display, wanted: &str) {
        let mistake = ConfigError::new(&path, wanted).value(value);
        self.provenance.mistake(path, mistake);
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        let value = self.table.remove(key);
        if value.is_none() {
            self.report(key, "missing");
        }
        value
    }

    /// Returns the text of a string. For another type it is the text of the variable that gave it:
    /// `NODE__NAME=4` means "4".
    fn as_text<'a>(&'a self, key: &str, value: &'a Value) -> Option<&'a str> {
        value.as_str().or_else(|| self.provenance.written(&self.path.child(key)))
    }

    fn list(
        &mut self,
        key: &'static str,
        count: &RangeInclusive<usize>,
    ) -> impl Iterator<Item = (KeyPath, Value)> + use<> {
        let path = self.path.child(key);
        let list = match self.take(key) {
            Some(Value::Array(list)) => {
                self.check_count(key, list.len(), count);
                list
            }
            Some(other) => {
                self.report(key, format!("a list is required, {} was given", kind(&other)));
                Vec::new()
            }
            None => Vec::new(),
        };
        list.into_iter().enumerate().map(move |(index, value)| (path.item(index), value))
    }

    fn table_at(&mut self, path: &KeyPath, value: Value) -> Option<Table> {
        match value {
            Value::Table(table) => Some(table),
            other => {
                let complaint = format!("a table is required, {} was given", kind(&other));
                self.provenance.mistake(path.clone(), ConfigError::new(path, complaint));
                None
            }
        }
    }

    fn check_count(&mut self, key: &str, given: usize, allowed: &RangeInclusive<usize>) {
        if !allowed.contains(&given) {
            let (least, most) = (allowed.start(), allowed.end());
            self.report(key, format!("{least} to {most} are required, {given} were given"));
        }
    }

    fn check_name(&mut self, path: &KeyPath, name: &str) {
        if !is_name(name) {
            self.provenance
                .mistake(path.clone(), ConfigError::new(path, format!("as a name, {NAME_RULE}")));
        }
    }

    /// Reports the keys alone, because the value of a mistyped `secret` is a secret.
    fn refuse_unknown(&mut self) {
        for key in std::mem::take(&mut self.table).into_iter().map(|(key, _)| key) {
            let complaint = match nearest(&key, &self.asked) {
                Some(meant) => format!("unknown key; did you mean {meant}?"),
                None => "unknown key".to_owned(),
            };
            self.report(&key, complaint);
        }
    }
}
