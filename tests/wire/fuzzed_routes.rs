//! Requests that a public tool makes of the description of the HTTP API, on all routes of a node.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::http::service;
use super::tokens::token;
use super::{node_with, url};

/// What is asked of an answer: no server error, and nothing that the description does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// Random requests to each route. With those that the tool makes by rule they take some 15 s.
const EXAMPLES: &str = "10";

/// Tries all routes with a token, in these phases of the tool: what it printed. It ends by itself,
/// since its requests are bounded in number and in time.
fn tried(base: &str, description: &Path, token: &str, phases: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/schemathesis");
    let program = directory.join("bin/st");
    assert!(program.is_file(), "scripts/test installs it");
    let mut command = Command::new(program);
    command.current_dir(&directory).arg("run").arg(description);
    command.args(["--url", base, "--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--checks", CHECKS, "--phases", phases]);
    command.args(["--max-examples", EXAMPLES, "--seed", "1", "--request-timeout", "10"]);
    command.args(["--no-shrink", "--no-color", "--warnings", "off"]);
    let run = command.output().expect("it is started");
    let [output, errors] =
        [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(run.status.success(), "{output}{errors}");
    output
}

#[test]
#[ignore = "needs schemathesis"]
fn no_request_to_any_route_is_a_server_error() {
    let demo = node_with("2", &[]);
    let base = url(&demo).replace("ws://", "http://").replace("/v1/ws", "");
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/openapi.json");
    let text = fs::read_to_string(&description).expect("the description");
    let routes = text.matches("\"operationId\"").count();
    for (token, phases) in [(service(), "coverage,fuzzing"), (token("alice"), "fuzzing")] {
        let output = tried(&base, &description, &token, phases);
        assert!(output.contains(&format!("Tested: {routes}\n")), "{output}");
    }
}
