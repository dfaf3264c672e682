//! Calls between files: of two files at most one calls the other.
//!
//! Without a compiler a call is known by its name: a method of `self` by the type whose `impl` it
//! stands in, any other function if its name stands once in the crate.

use std::collections::{BTreeMap, BTreeSet};

use super::names::identifier;
use super::source::Source;

/// A method: the room and the name of its type, and its own name.
type Method = (String, String, String);

/// Where functions are defined: the numbers of the files.
#[derive(Default)]
struct Definitions {
    methods: BTreeMap<Method, BTreeSet<usize>>,
    functions: BTreeMap<String, BTreeSet<usize>>,
}

/// Pairs of files that call each other, each with one call of either.
pub fn mutual(sources: &[Source]) -> Vec<String> {
    let codes: Vec<String> = sources.iter().map(product_code).collect();
    let definitions = definitions(sources, &codes);
    let mut calls: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for (file, code) in codes.iter().enumerate() {
        for (name, defined) in called(&sources[file], code, &definitions) {
            if !defined.contains(&file) {
                calls.extend(defined.iter().map(|there| ((file, *there), name.clone())));
            }
        }
    }
    let mut found = Vec::new();
    for ((from, to), there) in &calls {
        if let Some(back) = calls.get(&(*to, *from)).filter(|_| from < to) {
            let [from, to] = [from, to].map(|file| sources[*file].path.display());
            found.push(format!("{from} calls `{there}` of {to}, which calls `{back}`"));
        }
    }
    found
}

/// The code of a file without the tests in it.
fn product_code(source: &Source) -> String {
    let code = source.code();
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

fn definitions(sources: &[Source], codes: &[String]) -> Definitions {
    let mut found = Definitions::default();
    for (file, code) in codes.iter().enumerate() {
        for name in names_behind(code, "fn ") {
            found.functions.entry(name.to_owned()).or_default().insert(file);
        }
        for (owner, body) in impls(code) {
            for name in names_behind(body, "fn ") {
                let method = (sources[file].room.clone(), owner.to_owned(), name.to_owned());
                found.methods.entry(method).or_default().insert(file);
            }
        }
    }
    found
}

/// What a file calls, each with the files that define it.
fn called<'a>(
    source: &Source,
    code: &str,
    definitions: &'a Definitions,
) -> Vec<(String, &'a BTreeSet<usize>)> {
    let mut found = Vec::new();
    for (owner, body) in impls(code) {
        for name in ["self.", "Self::"].iter().flat_map(|own| names_behind(body, own)) {
            let method = (source.room.clone(), owner.to_owned(), name.to_owned());
            found.extend(definitions.methods.get(&method).map(|files| (name.to_owned(), files)));
        }
    }
    for (at, _) in code.match_indices('(') {
        let start = code[..at].rfind(|c: char| !c.is_alphanumeric() && c != '_');
        let name = &code[start.map_or(0, |start| start + 1)..at];
        let files = definitions.functions.get(name).filter(|files| files.len() == 1);
        found.extend(files.map(|files| (name.to_owned(), files)));
    }
    found
}

/// The identifiers that stand behind a text.
fn names_behind<'a>(code: &'a str, before: &str) -> Vec<&'a str> {
    code.split(before).skip(1).map(identifier).collect()
}

/// The `impl` blocks of a file: the name of the type, and the body.
fn impls(code: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for block in code.split("\nimpl").skip(1) {
        let Some((head, body)) = block.split_once('{') else { continue };
        let head = head.rsplit(" for ").next().unwrap_or(head);
        let head = head.rsplit("> ").next().unwrap_or(head).trim_start();
        found.push((identifier(head), body.split("\n}").next().unwrap_or(body)));
    }
    found
}

#[test]
fn a_mutual_pair_is_found() {
    let files = [
        ("src/a/x.rs", "\nimpl Hub {\n    fn one(&self) {\n        self.two();\n    }\n}\n"),
        ("src/a/y.rs", "\nimpl Hub {\n    fn two(&self) {\n        self.one();\n    }\n}\n"),
        ("src/a/z.rs", "fn alone() {\n    other();\n}\n// alone()\n"),
        ("src/a/w.rs", "fn other() {\n}\n"),
    ];
    let sources = files.map(|(path, text)| Source::new(path.into(), text));
    let found = mutual(&sources);
    assert_eq!(found, ["src/a/x.rs calls `two` of src/a/y.rs, which calls `one`"]);
    assert!(mutual(&sources[1..]).is_empty());
}
