//! What HAProxy's placement is worth: node events for a delivery, beside users that are placed by
//! their number exactly.

use serde_json::Value;

use crate::harness::{Balancer, Demo, Process, RedisServer};

const NODES: usize = 8;

/// [`super::fleet::BEHIND_HAPROXY`] for a demo.
const BEHIND_HAPROXY: [(&str, &str); 2] =
    [("LISTEN__TRUSTED", "[\"127.0.0.1/32\"]"), ("LISTEN__PROXY_PROTOCOL", "true")];

/// The load of both runs.
const LOAD: [&str; 11] = [
    "bench",
    "fanout",
    "--json",
    "--placement=bucket",
    "--buckets=1048576",
    "--users=600",
    "--devices=2",
    "--topics=200",
    "--subscribers=4",
    "--messages=600",
    "--events=600",
];

/// How far the two may be apart.
const TOLERANCE: f64 = 0.05;

/// A row of the load generator.
fn row(more: &[String]) -> Value {
    let ended = Process::run(Process::narrowcast().args(LOAD).args(more));
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    println!("{}", ended.output.trim());
    serde_json::from_str(&ended.output).expect("one line of JSON")
}

fn events_for_a_delivery(row: &Value) -> f64 {
    assert_eq!(row["lost"], 0, "{row}");
    row["node_events_per_delivery"].as_f64().expect("a number")
}

#[test]
#[ignore = "needs haproxy and redis-server"]
fn haproxy_places_users_as_well_as_the_arithmetic_does() {
    let [one, other] = [RedisServer::start(&[]), RedisServer::start(&[])];
    let demo = Demo::start(NODES, &[&one.url()], &BEHIND_HAPROXY);
    let addresses = demo.nodes.iter().map(|node| {
        let address = node.url.strip_prefix("ws://").and_then(|url| url.strip_suffix("/v1/ws"));
        address.expect("where clients connect").to_owned()
    });
    let balancer = Balancer::haproxy(&addresses.collect::<Vec<_>>());
    let mut running = vec![format!("--through={}", balancer.url())];
    for node in &demo.nodes {
        running.push(format!("--node={},http://{}", node.url, node.operator.address()));
    }
    let through = row(&running);
    assert_eq!(through["placement"], "balancer");
    let exact = row(&[format!("--nodes={NODES}"), format!("--redis={}", other.url())]);
    let ratio = events_for_a_delivery(&through) / events_for_a_delivery(&exact);
    println!("through HAProxy {ratio:.3} times the node events of the exact placement");
    assert!((1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio), "{ratio}");
}
