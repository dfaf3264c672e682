//! The unit of systemd.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::document::{Environment, end_ms, path, text};
use super::jail::{Jail, PROGRAM, is_below, warnings};
use crate::harness::Process;

const UNIT: &str = "deploy/narrowcast.service";

/// The user of the test; systemd takes one of 61184 to 65519.
const DYNAMIC_USER: u32 = 61_184;

/// How much `systemd-analyze security` may find, of 100.
const EXPOSURE_MAX: &str = "15";

/// The settings of the unit; of those that stand several times, all values.
fn settings() -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text(UNIT).lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

fn setting(name: &str) -> String {
    settings().remove(name).unwrap_or_else(|| panic!("no {name}")).remove(0)
}

/// Of `Environment=`, where quotes hold a whole assignment together.
fn environment() -> Environment {
    let assignments = settings().remove("Environment").expect("some");
    let pair = |line: String| {
        let (name, value) = line.trim_matches('\'').split_once('=').expect("an assignment");
        (name.to_owned(), value.to_owned())
    };
    assignments.into_iter().map(pair).collect()
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_reads_the_unit_and_finds_little_exposed() {
    let directory = tempfile::tempdir().expect("a directory");
    let unit = directory.path().join("narrowcast.service");
    // The program is not installed here, and nothing else may be wrong.
    let here = text(UNIT).replace(PROGRAM, env!("CARGO_BIN_EXE_narrowcast"));
    fs::write(&unit, &here).expect("a file");
    let read = Process::run(Command::new("systemd-analyze").arg("verify").arg(&unit));
    let told: Vec<_> = read.errors.lines().filter(|line| line.contains("narrowcast")).collect();
    assert_eq!((read.code, told), (Some(0), vec![]), "{}", read.errors);
    let secure = |unit: &std::path::Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--no-pager", "--offline=true", "--threshold", EXPOSURE_MAX]);
        Process::run(command.arg(unit))
    };
    let found = secure(&unit);
    assert_eq!(found.code, Some(0), "{}", found.output);

    // Controls: a key that systemd does not know, and a unit that may do more.
    fs::write(&unit, here.replace("LimitNOFILE", "LimitFiles")).expect("a file");
    let read = Process::run(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(read.errors.contains("LimitFiles"), "{}", read.errors);
    let open: Vec<_> = here.lines().filter(|line| !line.starts_with("Protect")).collect();
    fs::write(&unit, open.join("\n")).expect("a file");
    assert_ne!(secure(&unit).code, Some(0));
}

#[test]
fn the_unit_gives_the_node_the_time_and_the_files_it_needs() {
    let stop: u64 = setting("TimeoutStopSec").parse().expect("seconds");
    let end = end_ms(&environment());
    assert!(stop * 1000 > end, "{stop} s, and the node takes up to {end} ms");
    let files: u64 = setting("LimitNOFILE").parse().expect("a number");
    assert!(files > 100_000 + 1_000, "listen.connections and what the node keeps");
    assert_eq!(setting("Restart"), "on-failure", "exit code 75 asks for a start anew");
    let state = format!("/var/lib/{}", setting("StateDirectory"));
    let store = environment().into_iter().find(|(name, _)| name == "NARROWCAST__STORE__PATH");
    assert!(is_below(&store.expect("it is given").1, &state), "only {state} can be written");
}

/// The document's part about the unit, from the configuration on.
fn told() -> String {
    let document = text("README.md");
    let told = document.split("**Three machines with systemd**").nth(1).expect("it is there");
    told.split("\n## ").next().expect("a part").to_owned()
}

#[test]
fn the_documents_command_lets_the_unit_have_the_password_of_redis() {
    let told = told();
    let command = told.lines().find_map(|line| line.split_once(" > /etc/systemd/system/"));
    let (command, _) = command.expect("the unit is installed");
    let mut shell = Command::new("sh");
    let unit = Process::run(shell.args(["-c", command]).current_dir(path("deploy")));
    assert_eq!(unit.code, Some(0), "{}", unit.errors);
    let shipped = text(UNIT);
    let is_new = |line: &&str| !shipped.lines().any(|known| known == *line);
    let new: Vec<_> = unit.output.lines().filter(is_new).collect();
    assert_eq!(new, ["LoadCredential=redis-password:/etc/narrowcast/redis-password"]);
    assert!(told.contains("/run/credentials/narrowcast.service/redis-password"), "{told}");
    assert!(told.contains("secrets/redis-password /etc/narrowcast/\n"), "{told}");
}

#[test]
fn the_documents_configuration_of_three_machines_is_right() {
    let told = told();
    let block = told.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let home = tempfile::tempdir().expect("a directory");
    fs::create_dir(home.path().join("secrets")).expect("a directory");
    for secret in ["token-key", "redis-password"] {
        fs::write(home.path().join("secrets").join(secret), "x".repeat(40)).expect("a file");
    }
    fs::write(home.path().join("my.toml"), block.expect("a configuration")).expect("a file");
    let exports: Vec<_> = told.lines().filter(|line| line.starts_with("export ")).collect();
    let script = format!("{}\nexec \"$0\" check-config --config my.toml", exports.join("\n"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_narrowcast")]).current_dir(home.path());
    let checked = Process::run(&mut shell);
    assert_eq!(checked.code, Some(0), "{}", checked.errors);
}

#[tokio::test]
async fn a_node_runs_as_the_unit_says_and_ends_in_time() {
    let credential = setting("LoadCredential");
    let credential = credential.split(':').next().expect("a name");
    let files = setting("LimitNOFILE").parse().expect("a number");
    let jail = Jail::new(DYNAMIC_USER, files).environment(&environment());
    let jail = jail.writable(&format!("/var/lib/{}", setting("StateDirectory")));
    let key = format!("/run/credentials/narrowcast.service/{credential}");
    jail.users_file(&key, 0o400, "a key of thirty-two bytes and some more\n");
    let config = "[listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
                  [telemetry]\nformat = \"json\"\n";
    jail.file("/etc/narrowcast/narrowcast.toml", 0o644, config);
    let start = setting("ExecStart");
    let arguments = start.strip_prefix(PROGRAM).expect("the program").split_whitespace();
    let node = jail.serve(&arguments.collect::<Vec<_>>()).await;
    assert_eq!(node.operator().get("/healthz").0, 200);
    assert_eq!(node.status("NoNewPrivs"), "1");
    assert_eq!(node.status("CapEff"), "0000000000000000");
    let stop: u64 = setting("TimeoutStopSec").parse().expect("seconds");
    let log = node.ends_within(stop * 1000);
    assert_eq!(warnings(&log), [""; 0], "{log}");
}
