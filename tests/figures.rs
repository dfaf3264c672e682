//! The pictures of `benches/README.md`: what is drawn from the figures that are kept, and what is
//! refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Finished, Process};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures")
}

fn draw(kind: &str, file: &Path, svg: &Path) -> Finished {
    Process::run(
        Process::narrowcast().args(["bench", "draw", kind]).arg(file).arg("--svg").arg(svg),
    )
}

#[test]
fn the_pictures_are_those_of_the_figures() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut drawn = Vec::new();
    for entry in fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let svg = directory.path().join("drawn.svg");
        let finished = draw(&name, &path, &svg);
        assert_eq!(finished.code, Some(0), "{name}: {}", finished.errors);
        let kept = fs::read_to_string(path.with_extension("svg")).expect("it is drawn");
        let same = fs::read_to_string(&svg).expect("it is written") == kept;
        assert!(same, "{name}: run `scripts/figures draw {name}`");
        drawn.push(name);
    }
    assert!(drawn.len() >= 2, "figures are found: {drawn:?}");
}

#[test]
fn what_cannot_be_drawn_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let (svg, rows) = (directory.path().join("out.svg"), directory.path().join("rows.json"));
    let refused = |kind: &str, text: &str, part: &str| {
        fs::write(&rows, text).expect("it is written");
        let finished = draw(kind, &rows, &svg);
        assert_eq!(finished.code, Some(2), "{}", finished.errors);
        assert!(finished.errors.contains(part), "{part} in {}", finished.errors);
        assert_eq!(finished.errors.lines().count(), 1, "{}", finished.errors);
        assert!(!svg.exists(), "nothing is drawn");
    };
    refused("fanout", "", "there are no rows");
    refused("fanout", "{\"nodes\":", "row 1: EOF");
    refused("relay", "{\"server\":\"plain\"}", "row 1: missing field `rate`");
    let missing = draw("relay", &directory.path().join("none.json"), &svg);
    assert_eq!(missing.code, Some(2), "{}", missing.errors);
    assert!(missing.errors.contains("none.json: No such file"), "{}", missing.errors);
}

#[test]
fn a_layout_is_counted_without_sockets() {
    let layout = |arguments: &[&str]| {
        Process::run(Process::narrowcast().args(["bench", "layout"]).args(arguments))
    };
    let counted = layout(&["--nodes", "2,500", "--buckets", "1,4096", "--json"]);
    assert_eq!((counted.code, counted.output.lines().count()), (Some(0), 4), "{}", counted.errors);
    for (wrong, part) in [
        (["--nodes", "0"], "0 is not in 1..=10000"),
        (["--buckets", "3"], "must be a power of two"),
        (["--users", "1"], "1 is not in 2..=1000000"),
    ] {
        let refused = layout(&wrong);
        assert_eq!(refused.code, Some(2), "{}", refused.errors);
        assert!(refused.errors.contains(part), "{part} in {}", refused.errors);
    }
}
