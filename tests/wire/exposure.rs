//! What others on a machine, and pages in its browsers, might reach.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use narrowcast::client::Client;
use serde_json::json;

use super::serve_with;
use super::tokens::token;
use crate::harness::{Finished, Process, Served, eventually};

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

/// All that lies in a directory.
fn within(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().expect("it can be read");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("it can be read").path()) {
        if path.is_dir() {
            found.extend(within(&path));
        }
        found.push(path);
    }
    found
}

/// A node that is ended once it serves: what it said.
fn said(mut command: Command) -> String {
    let mut process = Process::start(&mut command);
    process.error_line(|line| line.contains("serving").then_some(()));
    process.signal("TERM");
    let (code, errors) = process.wait();
    assert_eq!(code, Some(0), "{errors}");
    errors
}

fn serve(store: &Path) -> Command {
    let mut command = Process::narrowcast();
    command.arg("serve").env("NARROWCAST__STORE__PATH", store);
    command.env("NARROWCAST__LISTEN__CLIENTS", "127.0.0.1:0");
    command.env("NARROWCAST__LISTEN__OPERATOR", "127.0.0.1:0");
    command
}

/// Whatever the umask of whoever started the node.
#[tokio::test]
async fn what_is_stored_is_the_owners_alone() {
    let home = tempfile::tempdir().expect("a directory");
    let (config, data) = (home.path().join("narrowcast.toml"), home.path().join("data"));
    let any_port = "\"127.0.0.1:0\"";
    let text = format!(
        "listen = {{ clients = {any_port}, operator = {any_port} }}\nstore.path = {data:?}\n"
    );
    std::fs::write(&config, text).expect("it is written");
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 0; exec "$0" serve --config "$1""#]);
    command.args([Path::new(env!("CARGO_BIN_EXE_narrowcast")), &config]);
    let served = Served::of(command);
    eventually("the node is ready", || served.operator.get("/readyz").0 == 200).await;
    let mut alice = Client::login(&served.url, &token("alice")).await.expect("it is let in");
    let send = json!({"op": "send", "conversation": "user.bob", "body": "for Bob alone"});
    assert_eq!(alice.ask(send).await.expect("an answer")["op"], "sent");
    assert_eq!(mode(&data), 0o700);
    let all = within(&data);
    assert!(all.len() > 5, "{all:?}");
    for path in all {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[test]
fn a_directory_that_others_may_enter_is_named() {
    for (permissions, is_named) in [(0o700, false), (0o750, true), (0o705, true)] {
        let store = tempfile::tempdir().expect("a directory");
        set_permissions(store.path(), Permissions::from_mode(permissions)).expect("it is ours");
        let said = said(serve(store.path()));
        let warned = said.lines().any(|line| {
            line.contains("WARN") && line.contains("store.path") && line.contains("may enter")
        });
        assert_eq!(warned, is_named, "{permissions:o}: {said}");
    }
}

#[test]
fn the_development_key_is_named_once() {
    let store = tempfile::tempdir().expect("a directory");
    let said = said(serve(store.path()));
    assert_eq!(said.matches("public development key").count(), 1, "{said}");
}

#[tokio::test]
async fn a_key_that_others_may_read_is_named() {
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "mine-mine-mine-mine-mine-mine-mine").expect("it is written");
    set_permissions(key.path(), Permissions::from_mode(0o644)).expect("it is ours");
    let keys = format!("[{{ kid = \"own\", alg = \"HS256\", file = {:?} }}]", key.path());
    let (_store, mut served) = serve_with(&[("auth.keys", &keys)]).await;
    served.process.signal("TERM");
    let (code, said) = served.process.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("auth.keys[0].file: group or others may read"), "{said}");
    assert!(!said.contains("public development key"), "{said}");
}

#[test]
fn the_development_key_lets_no_page_of_any_origin_in() {
    for command in ["serve", "check-config", "demo"] {
        let mut program = Process::narrowcast();
        let origins = ("NARROWCAST__LISTEN__ORIGINS", "[\"*\"]");
        let Finished { code, errors, .. } = Process::run(program.arg(command).envs([origins]));
        assert_eq!(code, Some(2), "{command}: {errors}");
        assert!(errors.contains("listen.origins = [\"*\"]: "), "{command}: {errors}");
    }
}
