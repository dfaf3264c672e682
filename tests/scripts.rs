//! The scripts: what each of them says of itself.

mod instructions;
mod soak;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Process;

/// All programs that `--help` may start. A script that went on to its work would miss the others
/// (`cargo`, `mvn`, `java`), and end with an error.
const TOOLS: [&str; 4] = ["bash", "dirname", "realpath", "sed"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The executable files below a directory.
fn scripts(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be read").path();
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if mode & 0o111 != 0 {
            found.push(path);
        }
    }
    found
}

/// Writes a program that stands in for another one.
fn stand_in(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/usr/bin/env bash\n{text}\n")).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is executable");
}

/// Where a program is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("it is set");
    let found = std::env::split_paths(&path).map(|directory| directory.join(name));
    found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("{name} is missing"))
}

#[test]
fn every_script_explains_itself_and_does_nothing_else() {
    let tools = tempfile::tempdir().expect("a directory");
    for tool in TOOLS {
        symlink(program(tool), tools.path().join(tool)).expect("it is made");
    }
    let found = scripts(&root().join("scripts"));
    assert!(found.len() >= 6, "scripts are found: {found:?}");
    for script in found {
        let name = script.strip_prefix(root()).expect("it is below").display().to_string();
        let mut command = Command::new(&script);
        let help = Process::run(command.arg("--help").env("PATH", tools.path()));
        assert_eq!((help.code, help.errors.as_str()), (Some(0), ""), "{name}");
        let usage = format!("Usage: {name}");
        assert!(help.output.starts_with(&usage), "{name} begins with {:?}", help.output);
        assert!(help.output.contains("Environment"), "{name} names its environment");
    }
}
