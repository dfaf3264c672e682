//! A disk that is full: a file system of its own, in memory, and a supervisor that starts the node
//! again when it asks for that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use narrowcast::client::Client;
use serde_json::json;

use super::tokens::token;
use super::with_own_ports;
use crate::cluster::chat::{history, login, send};
use crate::harness::{Process, Served, eventually, eventually_within};

/// What the file system holds, in MiB, and what of that is taken until room is made.
const SIZE: usize = 140;
const BALLAST: usize = 120;

/// Bytes of a message: two thousand fill the rest.
const BODY: usize = 7_900;

/// How soon a node must know that it cannot write.
const NOTICED: std::time::Duration = std::time::Duration::from_secs(2);

/// Mounts the file system where nobody else sees it, and starts the node again whenever it ends
/// with the code that asks for that. Whoever ends the first process ends all of them.
const SUPERVISOR: &str = r#"
mount -t tmpfs -o size="$1"m tmpfs "$2" || exit 9
dd if=/dev/zero of="$2/ballast" bs=1M count="$3" 2> /dev/null
while :; do
  "$4" serve --config "$5"
  code=$?
  echo "{\"supervisor\": $code}" >&2
  [ $code = 75 ] || exit $code
done
"#;

/// A process that supervises a node of this configuration, whose data is below `disk`.
pub fn supervisor(disk: &Path, config: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["sh", "-c", SUPERVISOR, "sh", &SIZE.to_string()]).arg(disk);
    command.args([&BALLAST.to_string(), env!("CARGO_BIN_EXE_narrowcast")]).arg(config);
    command
}

/// Where the supervisor and all below it see a path.
pub fn inside(process: &Process, path: &Path) -> PathBuf {
    let children = format!("/proc/{0}/task/{0}/children", process.id());
    let shell = fs::read_to_string(children).expect("it has a child");
    let shell = shell.split_whitespace().next().expect("a shell").to_owned();
    Path::new("/proc").join(shell).join("root").join(path.strip_prefix("/").expect("from the root"))
}

/// Sends until it is refused: how many were acknowledged, and the refusal.
pub async fn until_refused(alice: &mut Client) -> (usize, String) {
    let body = "x".repeat(BODY);
    for sent in 0..10_000 {
        let request = json!({"op": "send", "conversation": "user.bob", "body": body});
        let answer = alice.ask(request).await.expect("the node answers");
        if answer["op"] != "sent" {
            return (sent, answer["code"].as_str().expect("a code").to_owned());
        }
    }
    panic!("a full disk took everything");
}

#[tokio::test]
async fn a_full_disk_is_told_without_a_send_and_room_brings_the_node_back() {
    let home = tempfile::tempdir().expect("a directory");
    let disk = home.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let config = with_own_ports(home.path(), &disk.join("data"), &[]);
    let node = Served::of(supervisor(&disk, &config));
    let ballast = inside(&node.process, &disk.join("ballast"));
    eventually("the node is ready", || node.operator.get("/readyz").0 == 200).await;
    let mut alice = login(&node.url, &token("alice")).await;
    let (acked, code) = until_refused(&mut alice).await;
    assert!(["unavailable", "outcome_unknown"].contains(&&*code), "{code}");
    assert!(acked > 10, "{acked}");
    eventually_within(NOTICED, "it says that it cannot write", || {
        let (status, verdict, reasons) = node.operator.readiness();
        let told = ["store: nothing is written", "No space left on device"];
        (status, &*verdict) == (503, "unready") && told.iter().all(|part| reasons.contains(part))
    })
    .await;
    let seen = history(&mut alice, "bob").await.len();
    assert!(seen >= acked, "reads go on: {seen} of {acked}");
    drop(alice);

    fs::remove_file(ballast).expect("room is made");
    let mut process = node.process;
    let ended = process.error_line(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["supervisor"].as_u64()
    });
    assert_eq!(ended, 75, "it asks to be started again");
    let node = Served::running(process);
    eventually("the node is ready again", || node.operator.get("/readyz").0 == 200).await;
    let mut alice = login(&node.url, &token("alice")).await;
    send(&mut alice, "bob", json!("there is room")).await;
    let stored = history(&mut alice, "bob").await.len();
    assert!(stored > acked, "{stored} of {acked} and one more");
}
