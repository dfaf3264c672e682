//! `top` without a terminal: what it prints, and which nodes it refuses.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::harness::{Demo, FalseOperator, Finished, Operator, Process, eventually};

fn top(arguments: &[&str]) -> Finished {
    Process::run(Process::narrowcast().arg("top").args(arguments))
}

/// An address where nothing listens.
fn nowhere() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", free.local_addr().expect("an address"))
}

fn urls(demo: &Demo) -> Vec<String> {
    demo.nodes.iter().map(|node| format!("http://{}", node.operator.address())).collect()
}

/// The objects of nodes, one a line.
fn objects(finished: &Finished) -> Vec<Value> {
    assert_eq!(finished.code, Some(0), "{}", finished.errors);
    finished.output.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// Sessions on all nodes that send and receive until this is dropped.
async fn load(demo: &Demo) -> Process {
    let mut command = Process::narrowcast();
    command.args(["bench", "fanout", "--buckets", "1048576", "--users", "20", "--topics", "5"]);
    command.args(["--messages", "1000000", "--events", "1000000"]);
    for (node, url) in demo.nodes.iter().zip(urls(demo)) {
        command.args(["--node", &format!("{},{url}", node.url)]);
    }
    let load = Process::start(&mut command);
    let is_busy = |node: &Operator| node.metric("narrowcast_sends_total{outcome=\"sent\"}") > 0;
    eventually("every node has sends", || demo.nodes.iter().all(|node| is_busy(&node.operator)))
        .await;
    load
}

#[tokio::test]
async fn two_nodes_under_load_have_rates_that_fit_their_counters() {
    let demo = Demo::start(2, &[], &[]);
    let _load = load(&demo).await;
    let urls = urls(&demo);
    let deliveries = || -> u64 {
        demo.nodes.iter().map(|node| node.operator.metric("narrowcast_deliveries_total")).sum()
    };
    let before = deliveries();
    let arguments =
        [&["--json", "--every", "1s", "--from"][..], &[urls[0].as_str(), urls[1].as_str()]]
            .concat();
    let rows = objects(&top(&arguments));
    let counted = (deliveries() - before) as f64;
    assert_eq!(rows.len(), 2);
    let rate = |field: &str| -> f64 {
        let rates = rows.iter().map(|row| row[field].as_f64().expect("a rate"));
        rates.inspect(|rate| assert!(*rate > 0.0, "{field}: {rows:?}")).sum()
    };
    let deliveries_per_s = rate("deliveries_per_s");
    assert!(
        deliveries_per_s <= counted * 1.5,
        "{deliveries_per_s} of {counted} in a second or more"
    );
    assert!(
        rate("sends_per_s") < deliveries_per_s,
        "sends reach the other device and the recipient"
    );
    assert!(rate("cpu_cores") < 64.0 && rate("resident_bytes") > 1e6, "{rows:?}");
    assert!(rows[0]["sessions"].as_f64() >= rows[1]["sessions"].as_f64(), "{rows:?}");
    assert_eq!((&rows[0]["status"], &rows[0]["trouble"]), (&json!("ready"), &Value::Null));
    let table = top(&[&arguments[1..], &["--once"]].concat());
    let lines: Vec<&str> = table.output.lines().collect();
    assert_eq!(lines.len(), 4, "{}", table.output);
    let words: Vec<&str> = lines[0].split_whitespace().collect();
    let titles = [
        "node", "sessions", "sends/s", "deliv/s", "ev/deliv", "useful", "lag", "CPU", "RSS",
        "trouble",
    ];
    assert_eq!(words, titles);
    for line in &lines {
        assert_eq!(line.split_whitespace().count(), titles.len(), "{}", table.output);
    }
    assert!(lines[3].starts_with("total"), "{}", table.output);
}

#[test]
fn a_node_that_is_away_has_a_row_and_the_others_their_figures() {
    let demo = Demo::start(1, &[], &[]);
    let (node, away) = (&urls(&demo)[0], nowhere());
    let silent = FalseOperator::start(|_| None);
    let table = top(&["--every", "1s", "--from", node, &away, &silent.url()]);
    assert_eq!(table.code, Some(0), "{}", table.errors);
    let lines: Vec<&str> = table.output.lines().collect();
    assert!(lines[1].starts_with("n1  ") && lines[1].ends_with("-"), "{}", table.output);
    let rest = lines[2..4].join("\n");
    assert!(rest.contains("cannot connect: Connection refused"), "{rest}");
    assert!(rest.contains("no answer within 3 s"), "{rest}");
    assert!(lines[4].ends_with("  2 away"), "{}", table.output);
    let none = top(&["--once", "--every", "1s", "--from", &away]);
    assert_eq!(none.code, Some(1), "{}", none.output);
    assert_eq!(none.errors, "narrowcast: no node can be read\n");
    assert!(none.output.contains(" s: cannot connect: Connection refused"), "{}", none.output);
}

#[test]
fn what_is_no_operators_listener_is_refused_in_one_line() {
    let demo = Demo::start(1, &[], &[]);
    let node = &urls(&demo)[0];
    let clients = demo.nodes[0].url.replace("ws://", "http://").replace("/v1/ws", "");
    let other = FalseOperator::start(|_| Some((200, "{}".to_owned())));
    let many: Vec<String> = (1..=257).map(|port| format!("http://127.0.0.1:{port}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (from, code, part) in [
        (&[clients.as_str()][..], 1, "is not the operator's listener of a node"),
        (&[node.as_str(), other.url().as_str()][..], 1, "is not the operator's listener of a node"),
        (&["ws://x"][..], 2, "--from: `ws://x` is not like http://"),
        (&[node.as_str(), node.as_str()][..], 2, "is given twice"),
        (&many[..], 2, "--from: 257 nodes are given, at most 256 are shown"),
    ] {
        let refused = top(&[&["--once", "--every", "1s", "--from"], from].concat());
        assert_eq!((refused.code, refused.output.as_str()), (Some(code), ""), "{}", refused.errors);
        assert_eq!(refused.errors.lines().count(), 1, "{}", refused.errors);
        assert!(refused.errors.contains(part), "{part} in {}", refused.errors);
    }
    let never = top(&["--every", "0", "--from", node]);
    assert_eq!(never.code, Some(2));
    assert!(never.errors.contains("it must be from 1s to 60s"), "{}", never.errors);
    assert_eq!(top(&[]).code, Some(2), "--from is required");
}

/// A node of a later version with a name that a terminal would obey: it lacks a counter, has names
/// that are not known, and its readiness has another form. Its deliveries rise by 200 a read.
#[test]
fn a_node_of_another_version_shows_what_is_known_of_it() {
    let reads = Arc::new(AtomicU64::new(0));
    let other = FalseOperator::start(move |path| {
        let body = match path {
            "/v1/cluster" => json!({"boot": "b", "future": [1], "nodes": [
                {"name": "\u{1b}[2Jnode\r\n", "boot": "b", "version": "9.0.0", "weight": 3},
            ]})
            .to_string(),
            "/metrics" => {
                let deliveries = 200 * reads.fetch_add(1, Ordering::Relaxed);
                format!(
                    "narrowcast_live_nodes 1\nnarrowcast_deliveries_total {deliveries}\nx{{ y\n"
                )
            }
            _ => "ready".to_owned(),
        };
        Some((200, body))
    });
    let demo = Demo::start(1, &[], &[]);
    let from = [urls(&demo)[0].clone(), other.url()];
    let rows = top(&["--json", "--every", "2s", "--from", &from[0], &from[1]]);
    let warnings = &rows.errors;
    assert!(
        warnings.contains("warning: the nodes are of several versions: 0.1.0, 9.0.0"),
        "{warnings}"
    );
    let rows = objects(&rows);
    let row = &rows[1];
    let rate = row["deliveries_per_s"].as_f64().expect("a rate");
    assert!((10.0..=400.0).contains(&rate), "200 in about 2 s: {row}");
    assert_eq!((&row["sends_per_s"], &row["sessions"]), (&Value::Null, &Value::Null));
    assert_eq!((&row["status"], &row["trouble"]), (&Value::Null, &json!("readiness unknown")));
    let table = top(&["--every", "1s", "--from", &from[0], &from[1]]);
    assert!(table.output.contains("\n\\u{1b}[2Jnode\\r\\n  "), "{}", table.output);
    assert!(!table.output.replace('\n', "").chars().any(char::is_control), "{}", table.output);
}

#[test]
fn a_node_that_is_not_given_is_named() {
    let demo = Demo::start(2, &[], &[]);
    let [one, two] = [0, 1].map(|node| urls(&demo)[node].clone());
    let finished = top(&["--json", "--every", "1s", "--from", &one]);
    assert_eq!(objects(&finished).len(), 1);
    assert_eq!(finished.errors, format!("narrowcast: warning: not given: n2 ({two})\n"));
}

#[test]
fn a_reader_that_wants_one_line_gets_it() {
    let demo = Demo::start(1, &[], &[]);
    let mut shell = std::process::Command::new("sh");
    let line = "\"$0\" top --every 1s --from \"$1\" | head -1";
    shell.args(["-c", line]).arg(Process::narrowcast().get_program()).arg(&urls(&demo)[0]);
    let finished = Process::run(&mut shell);
    assert_eq!((finished.code, finished.errors.as_str()), (Some(0), ""));
    assert!(finished.output.starts_with("node  "), "{}", finished.output);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Process::narrowcast();
    command.args(["top", "--every", "1s", "--from", &urls(&demo)[0]]);
    let unread = Process::start_with_output(&mut command, Stdio::from(writer)).ended();
    assert_eq!((unread.code, unread.errors.as_str()), (Some(0), ""));
}
