//! The scripts hold to the types of k6, and the configuration beside them is one.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::load_test::{packages, root};
use crate::harness::Process;

fn copy_scripts(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_scripts(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("it is copied");
        }
    }
}

/// What the compiler prints; nothing if it has no objection.
fn compile(directory: &Path) -> String {
    let mut command = Command::new("node");
    command.args(["node_modules/typescript/bin/tsc", "--project", "."]).current_dir(directory);
    Process::run(&mut command).output
}

#[test]
#[ignore = "needs node"]
fn the_scripts_hold_to_the_types_of_k6() {
    let directory = packages();
    for file in ["globals.d.ts", "tsconfig.json"] {
        fs::copy(root().join("tests/k6").join(file), directory.join(file)).expect("it is copied");
    }
    let scripts = directory.join("scripts");
    copy_scripts(&root().join("scripts/k6"), &scripts);
    assert_eq!(compile(&directory), "");

    // The control: a method that k6 does not have.
    let session = scripts.join("lib/session.js");
    let text = fs::read_to_string(&session).expect("it is there");
    fs::write(&session, text.replace("socket.close()", "socket.terminate()"))
        .expect("it is written");
    let refused = compile(&directory);
    assert!(refused.contains("'terminate' does not exist on type 'WebSocket'"), "{refused}");
}

#[test]
fn the_configuration_for_load_tests_is_fine() {
    let file = root().join("config/loadtest.toml");
    let mut command = Process::narrowcast();
    let checked = Process::run(command.arg("check-config").arg("--config").arg(file));
    let said = (checked.code, checked.output.as_str(), checked.errors.as_str());
    assert_eq!(said, (Some(0), "the configuration is fine\n", ""));
}
