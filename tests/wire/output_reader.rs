//! Commands whose standard output nobody reads any more, as behind `| head -1`, or whose disk is
//! full.

use std::fs::File;
use std::io::pipe;
use std::process::Stdio;

use super::{node_with, url};
use crate::harness::{Finished, Process};

/// Runs a command into a pipe that nobody reads.
fn unread(arguments: &[&str]) -> Finished {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    into(arguments, writer.into())
}

fn into(arguments: &[&str], output: Stdio) -> Finished {
    Process::start_with_output(Process::narrowcast().args(arguments), output).ended()
}

const PRINT_AND_END: [&[&str]; 8] = [
    &["token", "load-{0..9}"],
    &["token", "load-{0..9}", "--json"],
    &["check-config"],
    &["print-config"],
    &["schema", "print"],
    &["--help"],
    &["--version"],
    &["bench", "relay", "--nodes", "1", "--users", "2", "--events", "1"],
];

#[test]
fn who_reads_no_more_is_no_mistake() {
    for arguments in PRINT_AND_END {
        let ended = unread(arguments);
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_told() {
    for arguments in PRINT_AND_END.into_iter().filter(|it| !it[0].starts_with("--")) {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let ended = into(arguments, full.into());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.errors);
        let told = "narrowcast: cannot write to standard output: ";
        assert!(ended.errors.starts_with(told), "{arguments:?}: {}", ended.errors);
    }
}

/// They end at once, and not when there is something to print again.
#[test]
fn who_listens_for_nobody_ends() {
    let demo = node_with("1", &[]);
    for arguments in [["sub", "topic.a"], ["tail", "user.bob"]] {
        let ended = unread(&[&arguments[..], &["--url", url(&demo)]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
        assert!(!ended.errors.contains("panicked"), "{arguments:?}: {}", ended.errors);
    }
    let published = unread(&["send", "user.bob", "1", "--url", url(&demo)]);
    assert_eq!((published.code, published.errors.as_str()), (Some(0), ""));
}

#[test]
fn a_demo_that_cannot_say_where_it_is_ends() {
    for arguments in [&[][..], &["--json"]] {
        let ended = unread(&[&["demo", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert!(!ended.errors.contains("panicked"), "{}", ended.errors);
    }
}
