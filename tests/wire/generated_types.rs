//! What public tools make of the descriptions of both APIs: they take them as valid, and generate
//! types with which a strict client compiles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies the client and its tools to where `scripts/test` installed the packages.
fn workshop() -> PathBuf {
    let directory = root().join("target/typescript");
    assert!(directory.join("node_modules").is_dir(), "scripts/test installs the packages");
    for file in ["client.ts", "generate.mjs", "package.json", "tsconfig.json"] {
        let from = root().join("tests/typescript").join(file);
        fs::copy(from, directory.join(file)).expect("it is copied");
    }
    directory
}

/// Runs a program of Node in a directory, and returns what it printed if it fails.
fn node(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("node");
    let run = command.args(arguments).current_dir(directory).output().expect("node is there");
    let printed = [run.stdout, run.stderr].concat();
    if run.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&printed).into_owned()) }
}

const FRAMES: &str = "src/protocol/asyncapi.yaml";
const ROUTES: &str = "src/http/openapi.json";
const COMPILER: &str = "node_modules/typescript/bin/tsc";

/// Generates types of two texts into the directory.
fn generate(directory: &Path, frames: &str, routes: &str) -> Result<(), String> {
    fs::write(directory.join("asyncapi.yaml"), frames).expect("it is written");
    fs::write(directory.join("openapi.json"), routes).expect("it is written");
    node(directory, &["generate.mjs", "asyncapi.yaml", "openapi.json", "."])
}

#[test]
#[ignore = "needs node"]
fn a_strict_client_compiles_with_the_generated_types() {
    let directory = workshop();
    let [frames, routes] =
        [FRAMES, ROUTES].map(|file| fs::read_to_string(root().join(file)).expect("a description"));
    assert_eq!(generate(&directory, &frames, &routes), Ok(()));
    assert_eq!(node(&directory, &[COMPILER, "--project", "."]), Ok(()));

    // Controls: an op that the client does not read, and descriptions that say nothing valid.
    let more = frames.replace("const: pong", "const: pang");
    assert_eq!(generate(&directory, &more, &routes), Ok(()));
    let refused = node(&directory, &[COMPILER, "--project", "."]).expect_err("`pang` is not read");
    assert!(refused.contains("client.ts"), "{refused}");
    let shouting = frames.replace("action: send", "action: shout");
    let silent = routes.replace("\"responses\"", "\"answers\"");
    let refused = generate(&directory, &shouting, &silent).expect_err("no such action");
    assert!(refused.contains("asyncapi.yaml: operations.push.action"), "{refused}");
    assert!(refused.contains("openapi.json: #/paths"), "{refused}");
}
