//! What every command of the load generator prints: an example in its help, and JSON whose fields
//! are known. What `scripts/k6/README.md` names too means the same there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{bench, objects};
use crate::harness::RedisServer;

/// The fields of each command, those of its inner objects behind a dot.
const FANOUT: &str = "nodes buckets placement users devices delivered node_events \
    node_events_per_delivery predicted broadcast useful_share lost shared_cpu_s";
const ROOMS: &str = "nodes members sent publishes node_events cost cost_by_member \
    cost_by_broadcast lost shared_cpu_s";
const RELAY: &str =
    "server shards rate delivered delivered_per_s nodes_us redis_us generator_us lost";
const CROWD: &str = "load sent delivered probes p50_us p90_us p99_us p999_us p9999_us max_us \
    generator_cpu_s servers_cpu_s";
const IDLE: &str = "after sessions base_bytes resident_bytes bytes_per_session \
    bytes_per_subscription generator_cpu_s servers_cpu_s";
const HEAL: &str = "sessions cluster_reads_per_s other_reads_per_s reads seconds shared_cpu_s";
pub const STORM: &str = "verdict failures fault nodes sessions stormed to_cursor away returned \
    without_cursor not_resumed closed connects refusals recovery_reads store_reads \
    reads_per_session quiet_reads_per_s handshakes_dropped closes servers_cpu_s bystander.before \
    bystander.meanwhile bystander.after sent acked unknown refused delivered lost repeated \
    duplicate stray generator_lag_p99_us send_lag_p99_us generator_cpu_s";

/// Objects whose fields are percentiles of latencies.
const LATENCIES: [&str; 5] =
    ["to_cursor", "away", "bystander.before", "bystander.meanwhile", "bystander.after"];

/// Objects whose fields are names that the run decides, such as reasons.
const OPEN: [&str; 5] = ["not_resumed", "refusals", "store_reads", "handshakes_dropped", "closes"];

/// The fields of an object that have no object in them, and of those that are listed whole.
fn fields(object: &Value, before: &str, found: &mut BTreeSet<String>) {
    for (name, value) in object.as_object().expect("an object") {
        let name = format!("{before}{name}");
        if LATENCIES.contains(&&*name) {
            let percentiles = "p50_us p90_us p99_us p999_us p9999_us max_us";
            check(value, percentiles);
            found.insert(name);
        } else if value.is_object() && !OPEN.contains(&&*name) {
            fields(value, &format!("{name}."), found);
        } else {
            found.insert(name);
        }
    }
}

/// Refuses an object with other fields than those that are listed.
pub fn check(object: &Value, listed: &str) {
    let mut found = BTreeSet::new();
    fields(object, "", &mut found);
    let listed: BTreeSet<String> = listed.split(' ').map(ToOwned::to_owned).collect();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not documented: {unlisted:?}");
    let absent: Vec<_> = listed.difference(&found).collect();
    assert!(
        absent.iter().all(|name| **name == "bytes_per_subscription"),
        "documented, and not there: {absent:?}"
    );
}

fn check_rows(arguments: &[&str], rows: usize, listed: &str) -> Vec<Value> {
    let ended = bench(arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let objects = objects(&ended);
    assert_eq!(objects.len(), rows, "{}", ended.output);
    objects.iter().for_each(|object| check(object, listed));
    objects
}

#[test]
fn every_command_has_an_example_and_asks_a_question() {
    let help = bench(&["--help"]).output;
    let (_, commands) = help.split_once("Commands:\n").expect("a list");
    let (commands, _) = commands.split_once("\n\n").expect("an end of it");
    // A long line of the list goes on further in than a name stands.
    let lines = commands.lines().filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"storm") && names.contains(&"fanout"), "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = bench(&[name, "--help"]);
        assert_eq!(help.code, Some(0), "{name}");
        let example = format!("\n  narrowcast bench {name} ");
        assert!(help.output.contains("Example:\n") && help.output.contains(&example), "{name}");
    }
}

#[test]
fn rows_of_one_process_have_the_documented_fields() {
    let fanout = ["fanout", "--json", "--nodes=2", "--buckets=64", "--users=10", "--topics=5"];
    let fanout = [&fanout[..], &["--messages=20", "--events=20"]].concat();
    assert_eq!(check_rows(&fanout, 1, FANOUT)[0]["lost"], 0);
    let rooms = ["rooms", "--json", "--nodes=2", "--users=10", "--members=4", "--rooms=2"];
    let rooms = [&rooms[..], &["--messages=10"]].concat();
    assert_eq!(check_rows(&rooms, 1, ROOMS)[0]["lost"], 0);
}

#[test]
fn rows_of_servers_of_their_own_have_the_documented_fields() {
    let relay = ["relay", "--json", "--nodes=0,1", "--users=10", "--events=100"];
    assert!(check_rows(&relay, 2, RELAY).iter().all(|row| row["lost"] == 0));
    check_rows(&["crowd", "--json", "--members=20", "--seconds=1"], 2, CROWD);
    let idle = ["idle", "--json", "--sessions=10", "--patterns=1", "--settle-s=1"];
    check_rows(&idle, 2, IDLE);
}

#[test]
#[ignore = "needs redis-server"]
fn a_row_of_heal_has_the_documented_fields() {
    let redis = RedisServer::start(&[]);
    let shard = format!("--redis={}", redis.url());
    check_rows(&["heal", "--json", "--sessions=20", "--seconds=2", &shard], 1, HEAL);
}

#[test]
#[should_panic(expected = "not documented: [\"new\"]")]
fn a_field_that_is_not_listed_is_found() {
    check(&serde_json::json!({"lost": 0, "new": 1}), "lost");
}
