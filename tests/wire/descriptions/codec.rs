//! The names that the codec has, read from its source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol")
}

/// A file without its tests.
fn source(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file of the codec");
    let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..tests].to_owned()
}

/// All files of the codec.
fn sources() -> String {
    let entries = fs::read_dir(folder()).expect("the folder of the codec");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let code = paths.filter(|path| path.extension().is_some_and(|is| is == "rs"));
    code.map(|path| source(&path)).collect()
}

/// The ops that a client may send.
pub fn ops() -> BTreeSet<String> {
    let text = source(&folder().join("op.rs"));
    let arms = text.lines().filter(|line| line.contains("\" => "));
    let names = arms.filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The frames that a server may send: the variants, and those that are written as text.
pub fn frames() -> BTreeSet<String> {
    let text = sources();
    let written = text.split(r#""{{"op":""#).skip(1);
    let written = written.map(|rest| rest.split('"').next().expect("a name").to_owned());
    variants("ServerFrame<'a>").into_iter().chain(written).collect()
}

/// The variants of an enum, as they are spelled on the wire.
pub fn variants(name: &str) -> BTreeSet<String> {
    let text = sources();
    let (_, body) = text.split_once(&format!("pub enum {name} {{\n")).expect("the enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let begins = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|line| line.starts_with(char::is_uppercase))
    };
    body.lines().filter(begins).map(|line| snake(line.trim())).collect()
}

/// `TokenExpiring {` as `token_expiring`.
fn snake(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars().take_while(|letter| letter.is_alphanumeric()) {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The codes by which a server closes.
pub fn close_codes() -> BTreeSet<u64> {
    let text = source(&folder().join("close.rs"));
    let codes = text.lines().filter_map(|line| line.split_once(" => ")?.1.strip_suffix(','));
    codes.filter_map(|code| code.parse().ok()).collect()
}
