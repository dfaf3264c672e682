//! Names: one type of a name in the whole crate, and its methods in its own room.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Associated types of traits in other crates, not types of ours.
const FOREIGN: [&str; 1] = ["Item"];

/// The identifier that a text begins with.
pub fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Types that a file defines, each with whether it shows it to others.
fn definitions(code: &str) -> impl Iterator<Item = (&str, bool)> {
    code.lines().filter_map(|line| {
        let line = line.trim_start();
        let shown = line.strip_prefix("pub");
        let rest = shown.unwrap_or(line);
        let rest = match rest.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1,
            None => rest,
        };
        let (keyword, rest) = rest.trim_start().split_once(' ')?;
        let name = identifier(rest);
        let is_type = ["struct", "enum", "trait", "type"].contains(&keyword);
        // A type whose name is an argument of a macro has none here.
        let has_name = !name.is_empty() && !FOREIGN.contains(&name);
        (is_type && has_name).then_some((name, shown.is_some()))
    })
}

/// Names of types that stand in more than one room, with the rooms.
pub fn repeated(sources: &[Source]) -> BTreeMap<String, BTreeSet<&str>> {
    let mut rooms: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for (name, _) in definitions(&source.code()).filter(|(_, is_shown)| *is_shown) {
            rooms.entry(name.to_owned()).or_default().insert(&source.room);
        }
    }
    rooms.retain(|_, rooms| rooms.len() > 1);
    rooms
}

/// Types of another room that a file adds methods to.
pub fn adopted(source: &Source, homes: &BTreeMap<String, BTreeSet<&str>>) -> Vec<String> {
    let code = source.code();
    let own = |line: &str| {
        let rest = line.strip_prefix("impl")?;
        let rest = match rest.strip_prefix('<') {
            Some(generics) => generics.split_once('>')?.1,
            None => rest,
        };
        let name = identifier(rest.trim_start());
        let is_of_a_trait = rest.contains(" for ");
        let home = homes.get(name).filter(|_| !is_of_a_trait)?;
        (!home.contains(source.room.as_str())).then(|| name.to_owned())
    };
    code.lines().filter_map(own).collect()
}

/// The rooms of each type.
pub fn homes(sources: &[Source]) -> BTreeMap<String, BTreeSet<&str>> {
    let mut homes: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for (name, _) in definitions(&source.code()) {
            homes.entry(name.to_owned()).or_default().insert(&source.room);
        }
    }
    homes
}

/// Structs with more fields than a number, and how many they have.
pub fn wide(code: &str, max: usize) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("struct ") {
        let name = identifier(&code[at + "struct ".len()..]);
        let Some(open) = code[at..].find(['{', ';', '(']) else { continue };
        if !code[at + open..].starts_with('{') {
            continue;
        }
        let body = &code[at + open + 1..];
        let end = body.find("\n}").unwrap_or(body.len());
        let is_field = |line: &&str| {
            line.strip_prefix("    ").is_some_and(|field| {
                let field = field.trim_start_matches("pub ").trim_start();
                let field = field.strip_prefix("pub(super) ").unwrap_or(field);
                let field = field.strip_prefix("pub(crate) ").unwrap_or(field);
                !identifier(field).is_empty() && field[identifier(field).len()..].starts_with(':')
            })
        };
        let fields = body[..end].lines().filter(is_field).count();
        if fields > max {
            found.push((name.to_owned(), fields));
        }
    }
    found
}

#[test]
fn a_name_in_two_rooms_is_found() {
    let sources =
        [("src/a/x.rs", "pub struct Verdict;"), ("src/b.rs", "pub(super) enum Verdict {}")];
    let sources = sources.map(|(path, text)| Source::new(path.into(), text));
    let found = repeated(&sources);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["Verdict"]);
    let once = [Source::new("src/a/x.rs".into(), "pub struct Verdict; // pub struct Other;")];
    assert!(repeated(&once).is_empty());
}

#[test]
fn methods_of_another_rooms_type_are_found() {
    let home = Source::new("src/a/x.rs".into(), "pub struct Hub;\npub struct Own<T>(T);");
    let guest = "impl Hub {\n}\nimpl Clone for Hub {}\nimpl<T> Own<T> {}\n";
    let guest = Source::new("src/b/y.rs".into(), guest);
    let sources = [home, guest];
    let homes = homes(&sources);
    assert_eq!(adopted(&sources[1], &homes), ["Hub", "Own"]);
    assert!(adopted(&sources[0], &homes).is_empty());
}

#[test]
fn a_wide_struct_is_found() {
    let code = "pub struct Two {\n    pub a: u8,\n    pub(super) b: Vec<u8>,\n}\nstruct T(u8);\n";
    assert_eq!(wide(code, 1), [("Two".to_owned(), 2)]);
    assert!(wide(code, 2).is_empty());
}
