//! One client at a time against the real program: what goes over the wire, to the byte.

mod advise_commands;
mod audiences;
mod bad_input;
mod bad_tokens;
mod balancers;
mod commands;
mod crowds;
mod deadlines;
mod descriptions;
mod direct_policy;
mod draining;
mod expected;
mod exposure;
mod few_files;
mod flow;
mod flow_pressure;
pub mod full_disk;
mod fuzzed_routes;
mod generated_types;
mod handshake;
mod health;
pub mod http;
mod http_bodies;
mod http_connections;
mod http_publish;
mod http_routes;
mod idempotency;
mod ids;
mod in_flight;
mod lame_duck;
mod log_reader;
mod message_lists;
mod node_budget;
mod node_log;
mod output_reader;
mod patterns;
mod rates;
pub mod raw;
mod read_turns;
mod restored;
mod rights;
mod room_access;
mod room_documents;
mod room_places;
mod signals;
mod slow_readers;
mod sockets;
mod store_commands;
mod strangers;
mod talk_commands;
mod top_commands;
mod top_screen;
mod transcripts;
mod unknown_frames;
mod user_hints;
mod user_rates;
mod users_connections;
mod wide_patterns;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::harness::{Demo, Operator, Served, eventually, tokens};

/// Every behaviour is the same on one event loop and when sessions move between several.
const WORKERS: [&str; 2] = ["1", "3"];

/// A node with so many workers and these keys of the configuration, as (`LIMITS__PATTERNS`, value).
fn node_with(workers: &str, keys: &[(&str, &str)]) -> Demo {
    Demo::start(1, &[], &[&[("WORKERS", workers)], keys].concat())
}

/// Where clients of the one node of a demo connect.
fn url(demo: &Demo) -> &str {
    &demo.nodes[0].url
}

/// A node of the `serve` command on an empty store, with these keys in its file, as
/// (`limits.patterns`, TOML); ready when this returns. The directory comes first, so that it is
/// dropped last.
async fn serve_with(keys: &[(&str, &str)]) -> (tempfile::TempDir, Served) {
    serve_by(Served::start, keys).await
}

/// The same, started in a way of its own.
pub async fn serve_by(
    start: impl FnOnce(&Path) -> Served,
    keys: &[(&str, &str)],
) -> (tempfile::TempDir, Served) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = with_own_ports(directory.path(), &directory.path().join("data"), keys);
    let served = start(&path);
    eventually("the node is ready", || served.operator.get("/readyz").0 == 200).await;
    (directory, served)
}

/// Writes a configuration with ports of the system's choice, unless keys say others: where it is.
pub fn with_own_ports(directory: &Path, store: &Path, keys: &[(&str, &str)]) -> PathBuf {
    let path = directory.join("narrowcast.toml");
    let mut file = std::fs::File::create(&path).expect("a file");
    let store = toml::Value::from(store.to_str().expect("UTF-8")).to_string();
    let any_port = r#""127.0.0.1:0""#;
    let own = [("listen.clients", any_port), ("listen.operator", any_port), ("store.path", &store)];
    let is_given = |key: &str| keys.iter().any(|(given, _)| *given == key);
    let all = own.iter().filter(|(key, _)| !is_given(key)).chain(keys);
    all.for_each(|(key, value)| writeln!(file, "{key} = {value}").expect("it is written"));
    path
}

/// How many sessions were closed with a code.
fn closes(operator: &Operator, code: u16) -> u64 {
    let (_, metrics) = operator.get("/metrics");
    let sample = format!("narrowcast_closes_total{{code=\"{code}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&sample));
    value.map_or(0, |value| value.parse().expect("a whole number"))
}
