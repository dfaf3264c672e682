//! Bad input of the load generator: one line that names it, and exit code 2.

use super::bench;
use crate::harness::{RedisServer, free_port};

/// Runs a command that must be refused at once, and returns the line that says why.
fn refusal(arguments: &[&str]) -> String {
    let ended = bench(arguments);
    let (code, output, errors) = (ended.code, &ended.output, &ended.errors);
    assert_eq!((code, &**output), (Some(2), ""), "{arguments:?}: {errors}");
    errors.clone()
}

#[test]
fn what_cannot_be_measured_with_is_one_line() {
    let closed = free_port();
    let redis = format!("--redis=redis://127.0.0.1:{closed}");
    let cql = format!("--cql=127.0.0.1:{closed}");
    let node = format!("--node=ws://127.0.0.1:{closed}/v1/ws,http://127.0.0.1:{closed}");
    let refused = "refused";
    for (arguments, words) in [
        (vec!["fanout", &*redis], vec!["--redis", refused]),
        (vec!["rooms", &*redis], vec!["--redis", refused]),
        (vec!["relay", &*redis], vec!["--redis", refused]),
        (vec!["heal", &*redis], vec!["--redis", refused]),
        (vec!["storm", &*cql, &*redis], vec!["--redis", refused]),
        (vec!["storm", "--cql=127.0.0.1", &*redis], vec!["--cql 127.0.0.1", "port is missing"]),
        (vec!["storm", &*node, "--pid=1"], vec!["--node http://127.0.0.1", refused]),
        (vec!["fanout", "--buckets=64", &*node], vec!["--node http://127.0.0.1", refused]),
        (vec!["rooms", "--members=4,1000"], vec!["--members 1000", "at most 500", "--users"]),
        (vec!["idle", "--sessions=1"], vec!["--sessions 1", "at least 2", "--patterns"]),
        (vec!["relay", "--messages", "--nodes=0,1"], vec!["--nodes 0", "--messages"]),
        (vec!["fanout", "--messages=0", "--events=0"], vec!["--messages", "--events", "above 0"]),
        (vec!["layout", "--messages=0", "--events=0"], vec!["--messages", "--events", "above 0"]),
        (vec!["load", "--svg=/nowhere/x.svg"], vec!["--svg /nowhere/x.svg", "No such file"]),
        (vec!["storm"], vec!["--cql", "--restart", "--node"]),
        (vec!["fanout", "--users=100000", "--devices=16"], vec!["3200000 sockets", "ulimit -n"]),
        (vec!["rooms", "--users=100000", "--devices=16"], vec!["3200000 sockets", "ulimit -n"]),
    ] {
        let line = refusal(&arguments);
        assert!(line.lines().count() == 1 && line.starts_with("narrowcast: "), "{line}");
        assert!(words.iter().all(|word| line.contains(word)), "{arguments:?}: {line}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_cql_server_that_refuses_is_one_line() {
    let redis = RedisServer::start(&[]);
    let (shard, cql) =
        (format!("--redis={}", redis.url()), format!("--cql=127.0.0.1:{}", free_port()));
    let line = refusal(&["storm", &cql, &shard]);
    assert!(line.lines().count() == 1 && line.contains("--cql 127.0.0.1"), "{line}");
}

#[test]
fn values_out_of_their_bounds_are_refused() {
    for arguments in [
        ["storm", "--sessions=0"],
        ["storm", "--rate=0"],
        ["storm", "--within=0"],
        ["storm", "--node=ws://127.0.0.1/v1/ws,http://127.0.0.1:1"],
        ["fanout", "--buckets=0"],
        ["fanout", "--buckets=3"],
        ["rooms", "--buckets=3"],
        ["fanout", "--users=0"],
        ["rooms", "--members=0"],
        ["relay", "--events=0"],
        ["relay", "--nodes=101"],
        ["crowd", "--per-s=0"],
        ["crowd", "--members=0"],
        ["idle", "--sessions=0"],
        ["heal", "--sessions=0"],
    ] {
        let errors = refusal(&arguments);
        let (flag, _) = arguments[1].split_once('=').expect("a value");
        assert!(errors.contains(flag), "{arguments:?}: {errors}");
    }
}

/// In a process with few descriptors.
#[test]
fn more_sockets_than_descriptors_are_named_before_any_is_opened() {
    use crate::harness::Process;
    use std::process::Command;
    let program = Process::narrowcast().get_program().to_owned();
    for (command, flag) in [
        ("storm --restart", "sessions"),
        ("idle", "sessions"),
        ("crowd", "members"),
        ("heal --redis=redis://127.0.0.1:1", "sessions"),
        ("relay --nodes=1", "users"),
    ] {
        let script = format!("ulimit -n 300 && exec \"$0\" bench {command} --{flag}=500");
        let ended = Process::run(Command::new("sh").args(["-c", &script]).arg(&program));
        let errors = &ended.errors;
        assert_eq!((ended.code, errors.lines().count()), (Some(2), 1), "{command}: {errors}");
        let bound = "sockets are more than 236, which the limit of 300 open files leaves";
        assert!(errors.contains(bound) && errors.contains(flag), "{command}: {errors}");
    }
}
