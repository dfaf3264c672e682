//! `scripts/soak`: the tests that it names, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{root, stand_in};
use crate::harness::{Finished, Process};

/// Runs it with a `cargo` that finds no test.
fn soak(arguments: &[&str]) -> Finished {
    let programs = tempfile::tempdir().expect("a directory");
    stand_in(programs.path(), "cargo", "echo 0 tests, 0 benchmarks");
    let path = std::env::var("PATH").expect("it is set");
    let mut command = Command::new(root().join("scripts/soak"));
    command.args(arguments).env("PATH", format!("{}:{path}", programs.path().display()));
    Process::run(&mut command)
}

/// The filters of the script: `room::test`.
fn filters() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("scripts/soak")).expect("it can be read");
    let code = text.lines().filter(|line| !line.starts_with('#'));
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let words = code.flat_map(|line| line.split(move |letter| !is_of_name(letter)));
    words.filter(|word| word.contains("::")).map(ToOwned::to_owned).collect()
}

#[test]
fn each_of_its_filters_names_a_test() {
    let filters = filters();
    assert!(filters.len() > 5, "{filters:?}");
    for filter in filters {
        let mut tests = Command::new(std::env::current_exe().expect("this program"));
        let found = Process::run(tests.args(["--list", "--include-ignored", &filter]));
        assert!(found.output.contains(": test\n"), "{filter}: {}", found.output);
    }
}

#[test]
fn a_name_that_no_test_has_fails() {
    let ended = soak(&["balancer"]);
    let why = "scripts/soak: no test is named balancer::restarts\n";
    assert_eq!((ended.code, ended.errors.as_str()), (Some(2), why));
}

#[test]
fn what_comes_alone_says_so() {
    let ended = soak(&["load", "instructions"]);
    let why = "scripts/soak: instructions comes alone: scripts/soak instructions [PATH...]\n";
    assert_eq!((ended.code, ended.errors.as_str()), (Some(2), why));
}
