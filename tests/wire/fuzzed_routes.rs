//! Requests that a public tool makes of the description of the HTTP API, on all routes of a node.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::http::service;
use super::tokens::token;
use super::{node_with, url};
use crate::harness::Process;

/// Requests of each kind to each route: all together take some ten seconds.
const EXAMPLES: &str = "20";

/// Tries all routes with a token: what the tool printed.
fn tried(base: &str, description: &Path, token: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/schemathesis");
    let program = directory.join("bin/st");
    assert!(program.is_file(), "scripts/test installs it");
    let mut command = Command::new(program);
    command.current_dir(&directory).arg("run").arg(description);
    command.args(["--url", base, "--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--checks", "not_a_server_error", "--phases", "coverage,fuzzing"]);
    command.args(["--max-examples", EXAMPLES, "--seed", "1", "--request-timeout", "10"]);
    command.args(["--max-time", "25", "--no-shrink", "--no-color", "--warnings", "off"]);
    let run = Process::run(&mut command);
    assert_eq!(run.code, Some(0), "{}{}", run.output, run.errors);
    run.output
}

#[test]
#[ignore = "needs schemathesis"]
fn no_request_to_any_route_is_a_server_error() {
    let demo = node_with("2", &[]);
    let base = url(&demo).replace("ws://", "http://").replace("/v1/ws", "");
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/openapi.json");
    let text = fs::read_to_string(&description).expect("the description");
    let routes = text.matches("\"operationId\"").count();
    for token in [service(), token("alice")] {
        let output = tried(&base, &description, &token);
        assert!(output.contains(&format!("Tested: {routes}\n")), "{output}");
    }
}
