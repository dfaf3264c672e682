//! The image of a node.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::document::{Environment, end_ms, text};
use super::jail::{Jail, PROGRAM, warnings};
use crate::harness::Process;

const FILE: &str = "deploy/Containerfile";

/// What systems give a container by default.
const OPEN_FILES: u32 = 1024;

/// The instructions, in order. A line that ends with a backslash goes on.
fn instructions() -> Vec<(String, String)> {
    let joined = text(FILE).replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let split = |line: &str| owned(line.split_once(' ').expect("a word and what it is about"));
    lines.map(split).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.trim().to_owned())
}

/// What instructions of the last stage say.
fn said(word: &str) -> Vec<String> {
    let all = instructions();
    let stage = all.iter().rposition(|(known, _)| known == "FROM").expect("a stage");
    all[stage..].iter().filter(|(known, _)| known == word).map(|(_, text)| text.clone()).collect()
}

/// The user, and the group of the same number.
pub fn user() -> u32 {
    let user = said("USER").remove(0);
    let (user, group) = user.split_once(':').expect("a user and a group");
    assert_eq!(user, group);
    user.parse().expect("a number, as Kubernetes asks for")
}

/// The environment that every container of the image has.
pub fn environment() -> Environment {
    let pair = |text: &str| owned(text.split_once('=').expect("an assignment"));
    said("ENV").iter().flat_map(|text| text.split_whitespace()).map(pair).collect()
}

/// A container of the image, without a file system of its own except for the volume.
pub fn container(open_files: u32) -> Jail {
    let jail = Jail::new(user(), open_files).environment(&environment());
    jail.writable(&said("VOLUME").remove(0))
}

#[test]
fn the_image_starts_the_program_itself_and_opens_its_ports() {
    assert_eq!(said("ENTRYPOINT"), [format!("[{PROGRAM:?}]")]);
    assert_eq!(said("CMD"), [r#"["serve"]"#]);
    assert_eq!(said("STOPSIGNAL"), ["SIGTERM"]);
    let mut ports: Vec<String> = Vec::new();
    for (name, value) in environment().iter().filter(|(name, _)| name.contains("LISTEN")) {
        let (ip, port) = value.rsplit_once(':').expect("an address");
        assert_eq!(ip, "0.0.0.0", "{name}");
        ports.push(port.to_owned());
    }
    assert_eq!(said("EXPOSE"), [ports.join(" ")]);
    let program = said("COPY").iter().any(|text| text.ends_with(PROGRAM));
    assert!(program, "the program is copied to where it is started");
}

/// Copies what the image copies to a place of its own, where cargo must find all that it names.
#[test]
fn the_build_has_all_files_that_it_reads() {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), tempfile::tempdir().expect("a place"));
    let all = instructions();
    let copied: Vec<&str> = all
        .iter()
        .filter(|(word, text)| word == "COPY" && !text.starts_with("--from"))
        .flat_map(|(_, text)| text.split_whitespace().rev().skip(1))
        .collect();
    for source in &copied {
        let there = to.path().join(source);
        fs::create_dir_all(there.parent().expect("a directory")).expect("it is ours");
        let mut copy = Command::new("cp");
        assert!(copy.arg("-r").arg(from.join(source)).arg(there).status().expect("cp").success());
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]);
    let known = Process::run(cargo.current_dir(to.path()));
    assert_eq!(known.code, Some(0), "{}", known.errors);
    assert!(copied.contains(&"config/default.toml"), "it is compiled in, and outside of `src`");
    assert!(instructions().iter().any(|(_, text)| text.contains(env!("CARGO_PKG_RUST_VERSION"))));
}

#[tokio::test]
async fn a_container_serves_on_a_read_only_root_and_ends_in_time() {
    let environment = environment();
    let grace = end_ms(&environment);
    let any_port = |name: &str| (format!("NARROWCAST__LISTEN__{name}"), "127.0.0.1:0".to_owned());
    let json = ("NARROWCAST__TELEMETRY__FORMAT".to_owned(), "json".to_owned());
    let own = vec![any_port("CLIENTS"), any_port("OPERATOR"), json];
    let jail = container(OPEN_FILES).environment(&own);
    let node = jail.serve(&["serve"]).await;
    assert_eq!(node.user(), user());
    assert_eq!(node.status("NSpid").split_whitespace().next_back(), Some("1"), "process 1");
    let log = node.ends_within(grace);
    let warned = warnings(&log);
    // On loopback the development key is allowed.
    let other = |line: &&String| !line.contains("public development key");
    assert_eq!(warned.iter().filter(other).collect::<Vec<_>>(), [""; 0]);
}

/// With the image's own addresses, the public key is refused.
#[test]
fn a_container_without_a_key_says_what_is_missing() {
    let ended = Process::run(&mut container(OPEN_FILES).command(&["serve"]));
    assert_eq!(ended.code, Some(2), "{}", ended.errors);
    assert!(ended.errors.contains("auth.keys"), "{}", ended.errors);
}
