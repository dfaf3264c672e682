//! `advise`: what it prints for numbers, and how it refuses nodes that it cannot advise on.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Demo, Finished, Process};

fn advise(arguments: &[&str]) -> Finished {
    Process::run(Process::narrowcast().arg("advise").args(arguments))
}

/// It fails with a code and one line that has these parts.
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let finished = advise(arguments);
    assert_eq!(finished.code, Some(code), "{}", finished.errors);
    let lines: Vec<&str> = finished.errors.lines().collect();
    assert_eq!(lines.len(), 1, "{}", finished.errors);
    for part in parts {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
}

#[test]
fn numbers_get_a_table_and_a_layout() {
    let planned = ["--nodes", "100", "--users", "1000000"];
    let finished = advise(&planned);
    assert_eq!(finished.code, Some(0), "{}", finished.errors);
    for part in
        ["user: the smallest that reaches", "[layouts.a]", "user = 16777216", "redis://ADDRESS"]
    {
        assert!(finished.output.contains(part), "{part} in {}", finished.output);
    }
    let placed = advise(&[planned.as_slice(), &["--placement", "bucket", "--json"]].concat());
    let json: Value = serde_json::from_str(&placed.output).expect("a JSON object");
    assert_eq!(json["advice"]["classes"][0]["buckets"], 65_536, "{json}");
}

#[test]
fn a_million_users_on_one_node_need_no_buckets() {
    let finished = advise(&["--nodes", "1", "--users", "1000000", "--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.errors);
    let json: Value = serde_json::from_str(&finished.output).expect("a JSON object");
    assert_eq!(json["advice"]["classes"][0]["buckets"], 1, "{json}");
    assert_eq!(json["repair_round_s"], 2000.0, "{json}");
}

#[test]
fn numbers_that_make_no_deployment_are_named() {
    let zero = ["--nodes", "0", "--users", "5"];
    refused(&zero, 2, &["--nodes: 0 is not within 1 to 10000"]);
    let many = ["--nodes", "2", "--users", "18446744073709551615"];
    refused(&many, 2, &["--users: 18446744073709551615 is not within 0 to 1000000000"]);
    let idle = advise(&["--nodes", "2", "--users", "0", "--messages-per-s", "0"]);
    assert_eq!(idle.code, Some(0), "{}", idle.errors);
    assert_eq!(advise(&["--nodes", "2"]).code, Some(2), "the users are missing");
}

#[test]
fn nodes_that_cannot_be_advised_on_are_refused_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    refused(&["--from", &away], 1, &[&away, "cannot be read"]);
    refused(&["--from", "ws://x"], 2, &["--from: `ws://x` is not like http://"]);
    let (one, two) = (Demo::start(2, &[], &[]), Demo::start(1, &[], &[]));
    let url = |demo: &Demo, node: usize| format!("http://{}", demo.nodes[node].operator.address());
    let [first, second] = [0, 1].map(|node| url(&one, node));
    refused(&["--from", &first, &url(&two, 0)], 1, &["are of two deployments", &first]);
    refused(&["--from", &first, &first], 2, &["are one node"]);
    refused(&["--from", &first], 1, &["lives too and is not given", &second]);
    refused(&["--from", &first, &second, "--seconds", "1"], 1, &["nothing was published"]);
    let clients = one.nodes[0].url.replace("ws://", "http://").replace("/v1/ws", "");
    refused(&["--from", &clients], 1, &["is not the operator's listener", "404"]);
}
