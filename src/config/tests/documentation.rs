//! `default.toml` is the reference: it holds every key that is read, and states for each what the
//! reader does.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::*;
use crate::config::layers::DEFAULT_TOML;

/// Every key that is not a table, by its path.
fn leaves(table: &Table, at: &str, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(table) => leaves(table, &format!("{at}{key}."), into),
            leaf => drop(into.insert(format!("{at}{key}"), leaf.clone())),
        }
    }
}

fn default_leaves() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    leaves(&DEFAULT_TOML.parse().unwrap(), "", &mut found);
    found
}

/// The comment right above each key, by the key's path as far as `default.toml` spells it.
fn comments() -> BTreeMap<String, String> {
    let (mut section, mut comment, mut found) = (String::new(), String::new(), BTreeMap::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.replace(']', ".");
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.insert(format!("{section}{key}"), std::mem::take(&mut comment));
        } else {
            comment.clear();
        }
    }
    found
}

/// A document in which only `path` is given.
fn only(path: &str, value: &str) -> String {
    format!("{path} = {value}")
}

#[test]
fn every_key_read_is_there_and_every_key_there_is_read() {
    let mut printed = BTreeMap::new();
    leaves(&Config::default().print().parse().unwrap(), "", &mut printed);
    let mut written = default_leaves();
    // The one leaf that holds a secret.
    printed.remove("auth.keys").unwrap();
    written.remove("auth.keys").unwrap();
    assert!(written.len() > 50, "only {} keys were found", written.len());
    assert_eq!(printed, written);
}

#[test]
fn every_key_is_refused_when_it_makes_no_sense() {
    for path in default_leaves().keys() {
        let all = load(&only(path, "1979-05-27")).unwrap_err();
        let keys: Vec<&str> = all.iter().map(super::super::ConfigError::key).collect();
        assert_eq!(keys, [path.as_str()]);
    }
}

#[test]
fn every_key_has_a_comment() {
    let comments = comments();
    for path in default_leaves().keys() {
        let spelled =
            if path.starts_with("layouts.a.buckets.") { "layouts.a.buckets" } else { path };
        assert!(comments.get(spelled).is_some_and(|text| text.len() > 20), "{path}");
    }
}

#[test]
fn every_bound_is_documented_as_it_is() {
    let (comments, mut found) = (comments(), 0);
    for (path, value) in default_leaves() {
        let spelled =
            if path.starts_with("layouts.a.buckets.") { "layouts.a.buckets" } else { &path };
        if value.is_integer() {
            let said = mistakes(load(&only(&path, "-1")));
            let bound =
                said[0].split("an integer, ").nth(1).and_then(|rest| rest.split(',').next());
            // A mention is the bound only if no further digit follows: "1 to 64" is not "1 to
            // 64000".
            let digits_after = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
            let named = |floor: &str, text: &str| {
                text.split_once(floor).is_some_and(|(_, rest)| !digits_after(rest))
            };
            assert!(
                named(bound.unwrap(), &comments[spelled]),
                "{path}: {bound:?} in {:?}",
                comments[spelled]
            );
            found += 1;
        }
    }
    assert!(found > 35, "only {found} bounds were found");
}
