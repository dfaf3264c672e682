//! Loads that pass.

use serde_json::Value;

use super::load_run::{LoadOutcome, LoadRun};
use crate::harness::{Demo, RedisServer, Served, eventually, free_port};

/// The fields of the reports of `scripts/k6` that say the same here.
const K6_FIELDS: [&str; 29] = [
    "script",
    "verdict",
    "failures",
    "sockets",
    "rate",
    "duration_ms",
    "sent",
    "acked",
    "unknown",
    "refused",
    "delivered",
    "lost",
    "duplicate",
    "late",
    "out_of_order",
    "overtaken",
    "repeated",
    "stray",
    "closed",
    "reconnects",
    "recovered",
    "p50_us",
    "p90_us",
    "p99_us",
    "p999_us",
    "max_us",
    "generator_lag_p99_us",
    "send_lag_p99_us",
    "p9999_us",
];

fn urls(demo: &Demo) -> Vec<String> {
    demo.nodes.iter().map(|node| node.url.clone()).collect()
}

/// All kinds, by nodes of which the operator's listener is known.
fn mixed(demo: &Demo) -> LoadRun {
    let node = |run: LoadRun, node: &crate::harness::DemoNode| {
        run.with("--node", &format!("{},http://{}", node.url, node.operator.address()))
    };
    let run = demo.nodes.iter().fold(LoadRun::new(&[]), node);
    let run = run.with("--mix", "dm=40,room=20,topic=20,history=10,join=10");
    let run = run.with("--devices", "2").with("--room-members", "5").with("--topic-watchers", "4");
    run.with("--pid", &format!("demo={}", demo.process.id()))
}

#[test]
#[ignore = "needs redis-server"]
fn a_mix_of_all_kinds_passes_and_tells_what_it_cost() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let outcome = mixed(&demo).with("--redis", &redis.url()).with("--bytes", "100").run();
    outcome.assert_passed();
    let report = &outcome.report;
    for field in K6_FIELDS {
        assert!(!report[field].is_null(), "{field}: {outcome}");
    }
    for kind in ["dm", "room", "topic", "history", "join"] {
        let (sent, acked) = (&report["kinds"][kind]["sent"], &report["kinds"][kind]["acked"]);
        assert!(sent.as_u64() > Some(0) && sent == acked, "{kind}: {outcome}");
    }
    assert!(outcome.count("delivered") > outcome.count("acked"), "{outcome}");
    let costs = &report["costs"];
    for part in ["generator_cpu_s", "servers_cpu_s", "redis_cpu_s", "generator_share"] {
        assert!(costs[part].as_f64() > Some(0.0), "{part}: {outcome}");
    }
    assert!(costs["processes"][0]["rss_bytes"].as_u64() > Some(1 << 20), "{outcome}");
    let seconds = report["seconds"].as_array().expect("a list");
    let last = seconds.last().expect("a second");
    assert!(last["nodes"] == 2 && last["sessions"] == 40 && last["live"] == 40, "{outcome}");
    let events = |second: &Value| second["node_events"].as_u64();
    assert!(seconds.iter().any(|second| events(second) > Some(0)), "{outcome}");
    let sent = |second: &Value| second["sent"].as_u64().expect("a count");
    // Sending ends before the last second does, unless the machine stands still.
    let sent = seconds.iter().map(sent).sum::<u64>();
    assert!((150..=200).contains(&sent), "{outcome}");
}

#[test]
fn a_closed_loop_says_so() {
    let demo = Demo::start(2, &[], &[]);
    let run = LoadRun::new(&urls(&demo)).with("--seconds", "1").with("--in-flight", "8");
    let without_rate = run.without("--rate");
    let outcome = without_rate.run();
    outcome.assert_passed();
    let report = &outcome.report;
    assert_eq!((&report["loop"], &report["in_flight"]), (&"closed".into(), &8.into()), "{outcome}");
    assert!(report["rate"].is_null() && outcome.count("sent") > 8, "{outcome}");
}

#[test]
fn it_starts_nodes_of_its_own() {
    let outcome = LoadRun::new(&[]).with("--nodes", "2").with("--seconds", "1").run();
    outcome.assert_passed();
    assert_eq!(outcome.report["costs"]["processes"][0]["label"], "nodes", "{outcome}");
    assert_eq!(outcome.report["seconds"][0]["nodes"], 2, "{outcome}");
}

/// A node that is killed and started again on its ports and its store.
#[tokio::test]
async fn nothing_is_lost_over_a_node_that_is_killed_and_started_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("narrowcast.toml");
    let [clients, operator] = [free_port(), free_port()];
    let data = serde_json::json!(directory.path().join("data"));
    let config = format!(
        "[listen]\nclients = \"127.0.0.1:{clients}\"\noperator = \"127.0.0.1:{operator}\"\n\
         [store]\npath = {data}\n"
    );
    std::fs::write(&path, config).expect("a file");
    let mut served = Served::start(&path);
    eventually("the node is ready", || served.operator.get("/readyz").0 == 200).await;
    let node = format!("{},http://{}", served.url, served.operator.address());
    let run = LoadRun::new(&[]).with("--node", &node).with("--seconds", "6").flag("--reconnect");
    let load = run.with("--settle", "20").with("--mix", "dm=3,room=1,topic=1").start();
    let sends = || served.operator.metric("narrowcast_sends_total");
    eventually("it sends", || sends() > 50).await;
    served.process.finish();
    served = Served::start(&path);
    eventually("the node is back", || served.operator.get("/readyz").0 == 200).await;
    let outcome = LoadOutcome::of(load);
    outcome.assert_passed();
    assert_eq!(outcome.count("reconnects"), 20, "{outcome}");
    assert_eq!(outcome.report["kinds"]["dm"]["lost"], 0, "{outcome}");
}
