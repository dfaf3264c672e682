//! `benches/scale.md`: its numbers are those of `narrowcast advise`, and counting agrees with the
//! arithmetic.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Process;

/// How far a rounded number of the page may be off.
const ROUNDED: f64 = 0.01;

/// How far counting may be from the arithmetic.
const COUNTED: f64 = 0.02;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scale.md");
    fs::read_to_string(path).expect("it is there")
}

/// The cells of every row of the page's tables.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let tables = page.lines().filter(|line| line.starts_with('|'));
    tables.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What each `narrowcast advise` of the page prints as JSON.
fn advice(page: &str) -> Vec<Value> {
    let commands = page.lines().filter_map(|line| line.strip_prefix("narrowcast advise "));
    let run = |arguments: &str| {
        let arguments = arguments.split_whitespace().chain(["--json"]);
        let finished = Process::run(Process::narrowcast().arg("advise").args(arguments));
        assert_eq!(finished.code, Some(0), "{}", finished.errors);
        serde_json::from_str(&finished.output).expect("a JSON object")
    };
    commands.map(run).collect()
}

/// A field, as the page names it: a path, or a field of what a class costs as advised.
fn field(advice: &Value, name: &str) -> f64 {
    let classes = advice["advice"]["classes"].as_array().expect("classes");
    let of_class = classes.iter().find_map(|class| {
        let field = name.strip_prefix(class["class"].as_str()?)?.strip_prefix('.')?;
        let costs = class["costs"].as_array()?;
        let advised = costs.iter().find(|cost| cost["buckets"] == class["buckets"])?;
        advised[field].as_f64()
    });
    let pointer = format!("/{}", name.replace('.', "/"));
    let found = of_class.or_else(|| advice.pointer(&pointer)?.as_f64());
    found.unwrap_or_else(|| panic!("`{name}` is not in {advice}"))
}

/// A number with thousands in groups, and perhaps a unit.
fn number(cell: &str) -> f64 {
    let plain = cell.replace([',', '*'], "");
    let (digits, unit) = plain.split_once(' ').unwrap_or((&plain, ""));
    let factor = match unit {
        "%" => 0.01,
        "MB" => 1e6,
        _ => 1.0,
    };
    digits.parse::<f64>().unwrap_or_else(|error| panic!("`{cell}`: {error}")) * factor
}

#[test]
fn the_page_says_what_advise_says() {
    let page = page();
    let advice = advice(&page);
    assert_eq!(advice.len(), 2, "the page has a command for each placement");
    let mut compared = 0;
    for row in rows(&page) {
        let [.., at_random, by_bucket, source] = row.as_slice() else { continue };
        let Some(name) = source.strip_prefix("advise: `").and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        for (cell, advice) in [at_random, by_bucket].into_iter().zip(&advice) {
            let (said, found) = (number(cell), field(advice, name));
            assert!((said / found - 1.0).abs() <= ROUNDED, "{name}: {said}, but advise: {found}");
            compared += 1;
        }
    }
    assert!(compared >= 16, "{compared} numbers are compared");
}

#[test]
fn counting_is_close_to_the_arithmetic() {
    let page = page();
    let mut compared = 0;
    for row in rows(&page) {
        let [_nodes, _buckets, _placed, found, computed, ..] = row.as_slice() else { continue };
        if let (Ok(found), Ok(computed)) = (found.parse::<f64>(), computed.parse::<f64>()) {
            assert!((found / computed - 1.0).abs() <= COUNTED, "{row:?}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared} rows are compared");
}
