//! The rules of the house, held by a test: rooms import only rooms above them, as `src/lib.rs`
//! lists them, files stay small, no room is a drawer for odds and ends, and the README is short. Names
//! of types stand once, their methods stand with them, and prose is plain.

mod calls;
mod names;
mod prose;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

const LINES_MAX: usize = 500;

/// The README is for newcomers. What others need is in the documents that it lists.
const README_BYTES_MAX: usize = 10_000;

const DRAWERS: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "manager"];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms in the order of the table in `src/lib.rs`.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("it is there");
    let map = text.split("//! # ").find(|part| part.starts_with("Layout")).expect("the map");
    let row = |line: &str| Some(line.strip_prefix("//! | `")?.split_once('`')?.0.to_owned());
    map.lines().filter_map(row).collect()
}

/// The rooms that a text imports or names.
fn imported(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).map(names::identifier)
}

#[test]
fn rooms_import_only_rooms_above_them() {
    let rooms = rooms();
    assert!(rooms.len() > 10, "the table is read: {rooms:?}");
    let mut imports = 0;
    for (place, room) in rooms.iter().enumerate() {
        for file in sources(&root().join("src").join(room)) {
            let text = fs::read_to_string(&file).expect("it is text");
            for other in imported(&text) {
                let Some(there) = rooms.iter().position(|known| known == other) else { continue };
                imports += 1;
                assert!(there <= place, "{} imports `{other}`, a room below", file.display());
            }
        }
    }
    assert!(imports > 100, "imports are found");
}

#[test]
fn every_room_stands_in_the_table() {
    let rooms = rooms();
    for entry in fs::read_dir(root().join("src")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(rooms.iter().any(|room| room == name), "`{name}` is not in the table");
        }
    }
}

#[test]
fn files_are_small_and_have_a_noun() {
    let files = [sources(&root().join("src")), sources(&root().join("tests"))].concat();
    assert!(files.len() > 100, "files are found");
    for file in files {
        let lines = fs::read_to_string(&file).expect("it is text").lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(!DRAWERS.contains(&name), "{} names no thing", file.display());
    }
}

/// The fields that a struct may have.
const FIELDS_MAX: usize = 12;

fn code() -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it is text");
        Source::new(path.strip_prefix(root()).expect("it is below").to_owned(), &text)
    };
    sources(&root().join("src")).into_iter().map(read).collect()
}

#[test]
fn no_type_name_stands_in_two_rooms() {
    let sources = code();
    let repeated = names::repeated(&sources);
    assert!(repeated.is_empty(), "{repeated:#?}");
    assert!(names::homes(&sources).len() > 500, "types are found");
}

#[test]
fn methods_stand_in_the_room_of_their_type() {
    let sources = code();
    let homes = names::homes(&sources);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        for name in names::adopted(source, &homes) {
            found.push((source.room.clone(), name));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_two_files_call_each_other() {
    let is_product = |source: &Source| !source.is_test() && source.room != "simulation";
    let sources: Vec<Source> = code().into_iter().filter(is_product).collect();
    let found = calls::mutual(&sources);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn structs_are_narrow() {
    let mut found: Vec<(String, usize)> = Vec::new();
    for source in code().iter().filter(|source| !source.is_test()) {
        found.extend(names::wide(&source.code(), FIELDS_MAX));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn prose_does_without_the_banned_words() {
    let mut found = Vec::new();
    for source in code().iter().filter(|source| !source.is_test()) {
        for (word, text) in prose::of(source) {
            found.push(format!("{}: `{word}` in {text}", source.path.display()));
        }
    }
    assert!(found.is_empty(), "{} of them: {found:#?}", found.len());
}

/// Links of a document to files that do not exist, as seen from its folder.
fn dead_links(text: &str, folder: &Path) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let is_file = |target: &&str| !target.is_empty() && !target.contains("://");
    let dead = targets.filter(is_file).filter(|target| !folder.join(target).exists());
    dead.map(str::to_owned).collect()
}

#[test]
fn links_of_documents_lead_somewhere() {
    let folders = ["", "config", "benches", "tests", ".github", "src/protocol", "src/http"];
    let mut links = 0;
    for folder in folders.iter().chain(&["src/store", "src/watermark"]) {
        let folder = root().join(folder);
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("it is text");
                links += text.matches("](").count();
                assert_eq!(dead_links(&text, &folder), [""; 0], "{}", path.display());
            }
        }
    }
    assert!(links > 50, "links are found");
}

#[test]
fn a_dead_link_is_found() {
    let text = "[a](src/lib.rs) [b](#part) [c](https://example.org) [d](src/none.rs#x)";
    assert_eq!(dead_links(text, root()), ["src/none.rs"]);
}

/// What is wrong with the length of a README.
fn readme_defect(text: &str) -> Option<String> {
    let bytes = text.len();
    (bytes > README_BYTES_MAX)
        .then(|| format!("README.md has {bytes} bytes, at most {README_BYTES_MAX} are allowed"))
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(root().join("README.md")).expect("it is text");
    assert_eq!(readme_defect(&text), None);
}

#[test]
fn a_long_readme_is_found() {
    assert_eq!(readme_defect(&"a".repeat(README_BYTES_MAX)), None);
    let defect = readme_defect(&"é".repeat(README_BYTES_MAX / 2 + 1));
    assert_eq!(defect.as_deref(), Some("README.md has 10002 bytes, at most 10000 are allowed"));
}
