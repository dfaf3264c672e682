//! `bench storm` against real processes, and what it must find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fields::{STORM, check};
use super::objects;
use crate::harness::{Demo, DemoNode, Finished, LAME_DUCK, PATIENCE, Process, RedisServer};

const SESSIONS: u64 = 200;

/// How long a storm may take beside builds: making a keyspace alone takes some seconds.
const STORM_PATIENCE: Duration = Duration::from_mins(1);

/// The test's machine is busy: a late generator is no failure here.
const SMALL: [&str; 6] =
    ["bench", "storm", "--json", "--sessions=200", "--seconds=1", "--lag-ms=10000"];

/// Messages that never come are not waited for.
const HOPELESS: &str = "--settle=2";

fn storm(more: &[&str]) -> Finished {
    end_of(Process::start(&mut command(more)))
}

fn command(more: &[&str]) -> Command {
    let mut command = Process::narrowcast();
    command.args(SMALL).args(more);
    // A drain of seconds tells no more than one of moments.
    command.env(LAME_DUCK, "300").env("NARROWCAST__TIMEOUTS__DRAIN_TIMEOUT_MS", "2000");
    command
}

fn end_of(mut process: Process) -> Finished {
    let until = Instant::now() + STORM_PATIENCE;
    while process.is_running() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    process.ended()
}

fn report(ended: &Finished) -> Value {
    let mut objects = objects(ended);
    assert_eq!(objects.len(), 1, "{}{}", ended.output, ended.errors);
    objects.remove(0)
}

/// A storm that must pass, and the share of its sessions that it struck.
fn passes(more: &[&str], stormed: u64) -> Value {
    let ended = storm(more);
    assert_eq!(ended.code, Some(0), "{}{}", ended.errors, ended.output);
    let report = report(&ended);
    println!("{report}");
    check(&report, STORM);
    assert_eq!(report["verdict"], "passed");
    assert_eq!(report["failures"], serde_json::json!([]));
    assert_eq!((&report["stormed"], &report["returned"]), (&stormed.into(), &stormed.into()));
    assert_eq!(report["lost"], 0);
    // A send whose outcome is unknown may come as well.
    assert!(report["delivered"].as_u64() >= report["acked"].as_u64());
    assert!(report["acked"].as_u64() > Some(0) && report["connects"].as_u64() >= Some(stormed));
    assert!(report["recovery_reads"].as_u64() >= Some(stormed), "each reads its rooms");
    report
}

#[test]
fn all_come_back_to_a_node_that_is_killed_and_started_again() {
    let report = passes(&["--restart"], SESSIONS);
    assert!(report["refusals"].as_object().is_some_and(|reasons| !reasons.is_empty()), "{report}");
}

#[test]
fn all_come_back_to_a_node_that_is_drained_and_started_again() {
    let report = passes(&["--restart", "--fault=drain"], SESSIONS);
    assert_eq!(report["fault"], "drain");
}

fn on_cql(fault: &str) {
    let cql = std::env::var("NARROWCAST_TEST_CQL").expect("`scripts/test` starts a CQL server");
    let redis = [RedisServer::start(&[]), RedisServer::start(&[])];
    let redis: Vec<String> = redis.iter().map(|redis| format!("--redis={}", redis.url())).collect();
    let (cql, fault) = (format!("--cql={cql}"), format!("--fault={fault}"));
    let report = passes(&[&cql, &redis[0], &redis[1], &fault], SESSIONS / 2);
    assert_eq!(report["closed"], 0);
    let reads = report["store_reads"].as_object().expect("reads by statement");
    assert!(reads["read_memberships"].as_u64() >= Some(SESSIONS / 2), "{report}");
}

#[test]
#[ignore = "needs redis-server and a CQL server"]
fn all_come_back_to_another_node_when_one_is_killed() {
    on_cql("kill");
}

#[test]
#[ignore = "needs redis-server and a CQL server"]
fn all_come_back_to_another_node_when_one_is_drained() {
    on_cql("drain");
}

/// The flag of a running node.
fn node(node: &DemoNode) -> String {
    format!("--node={},http://{}", node.url, node.operator.address())
}

/// The words of a storm that must fail.
fn failures(ended: &Finished) -> (Value, String) {
    assert_eq!(ended.code, Some(1), "{}{}", ended.errors, ended.output);
    let report = report(ended);
    assert_eq!(report["verdict"], "failed");
    let failures = report["failures"].to_string();
    (report, failures)
}

/// Two nodes that share nothing: the second knows neither the cursors nor the messages of the first.
#[test]
fn sessions_that_do_not_resume_and_messages_that_do_not_come_are_named() {
    let (first, second) = (Demo::start(1, &[], &[]), Demo::start(1, &[], &[]));
    let pid = format!("--pid={}", first.process.id());
    let ended = storm(&[&node(&first.nodes[0]), &node(&second.nodes[0]), &pid, HOPELESS]);
    let (report, failures) = failures(&ended);
    let half = SESSIONS / 2;
    assert_eq!(report["not_resumed"]["other_store"], half, "{report}");
    let why = format!("{half} sessions came back and were not resumed: other_store (not_resumed)");
    assert!(failures.contains(&why), "{failures}");
    assert!(report["lost"].as_u64() > Some(0) && failures.contains("(lost)"), "{failures}");
}

/// The only node ends, and is not started again.
#[test]
fn sessions_that_never_come_back_are_named() {
    let only = Demo::start(1, &[], &[]);
    let pid = format!("--pid={}", only.process.id());
    let ended = storm(&[&node(&only.nodes[0]), &pid, "--within=3", HOPELESS]);
    let (report, failures) = failures(&ended);
    assert_eq!((&report["without_cursor"], &report["returned"]), (&SESSIONS.into(), &0.into()));
    let why = format!("{SESSIONS} sessions have no cursor again (without_cursor)");
    assert!(failures.contains(&why), "{failures}");
}

/// A storm on a node whose configuration is spoilt before it is started again.
fn storm_without_return(spoil: impl Fn(&Path)) -> (Value, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = command(&["--restart", "--within=3", HOPELESS]);
    let process = Process::start(command.env("TMPDIR", directory.path()));
    let until = Instant::now() + PATIENCE;
    let config = loop {
        if let Some(config) = final_config(directory.path()) {
            break config;
        }
        assert!(Instant::now() < until, "a configuration is written");
        std::thread::sleep(Duration::from_millis(5));
    };
    fs::remove_file(&config).expect("it is removed");
    spoil(&config);
    failures(&end_of(process))
}

/// The configuration by which the node is started again: it keeps the ports that it was given.
fn final_config(directory: &Path) -> Option<PathBuf> {
    let config = fs::read_dir(directory).ok()?.next()?.ok()?.path().join("n1.toml");
    let text = fs::read_to_string(&config).ok()?;
    (text.contains("[store]") && !text.contains(":0\"")).then_some(config)
}

#[test]
fn a_node_that_is_not_back_in_time_has_a_verdict() {
    let (report, failures) = storm_without_return(|config| {
        // The node waits for a writer that never comes.
        let made = Command::new("mkfifo").arg(config).status().expect("mkfifo");
        assert!(made.success());
    });
    assert_eq!(report["without_cursor"], SESSIONS, "{report}");
    let why = format!("{SESSIONS} sessions have no cursor again (without_cursor)");
    assert!(failures.contains(&why), "{failures}");
    assert!(failures.contains("what the nodes counted is unknown"), "{failures}");
}

#[test]
fn a_node_that_does_not_start_again_has_a_verdict() {
    let (report, failures) = storm_without_return(|config| {
        fs::write(config, "nonsense").expect("a file");
    });
    assert_eq!(report["without_cursor"], SESSIONS, "{report}");
    assert!(failures.contains("no start again: the node does not start: "), "{failures}");
}

/// A process that is no node is not ended.
#[test]
fn a_process_that_does_not_listen_where_the_node_does_is_refused() {
    let demo = Demo::start(1, &[], &[]);
    let mut other = Process::start(Command::new("sleep").arg("60"));
    let ended = storm(&[&node(&demo.nodes[0]), &format!("--pid={}", other.id())]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.errors, ended.output);
    let why = format!("--pid {}: it does not listen on port ", other.id());
    assert!(ended.errors.contains(&why), "{}", ended.errors);
    assert!(other.is_running());
}
