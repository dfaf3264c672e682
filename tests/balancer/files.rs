//! The files that are shipped: the programs accept them, and they fit the nodes.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Process, haproxy, nginx, shipped};

/// A timeout of a node by default.
fn of_node(key: &str) -> Duration {
    let table: toml::Table = shipped("config/default.toml").parse().expect("TOML");
    let millis = table["timeouts"][key].as_integer().expect("milliseconds");
    Duration::from_millis(millis.unsigned_abs())
}

/// The seconds that follow a text in a file, wherever it is there.
fn seconds_after(text: &str, name: &str) -> Vec<Duration> {
    let name = format!(" {name} ");
    let parts = text.split(&name).skip(1);
    let values = parts.filter_map(|rest| rest.split_once('s')?.0.parse().ok());
    values.map(Duration::from_secs).collect()
}

#[test]
#[ignore = "needs haproxy"]
fn haproxy_accepts_the_file_that_is_shipped() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/haproxy.cfg");
    let checked = Process::run(Command::new("haproxy").args(["-c", "-f", path]));
    assert_eq!((checked.code, checked.errors.as_str()), (Some(0), ""), "without a warning");
}

/// As it is, but for the paths that only root may write.
#[test]
#[ignore = "needs nginx"]
fn nginx_accepts_the_file_that_is_shipped() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("nginx.conf");
    let nodes = ["10.1.0.1:8080".to_owned(), "10.1.0.2:8080".to_owned()];
    std::fs::write(&path, nginx::file(&nodes, 8000, directory.path())).expect("a file");
    let mut command = Command::new("nginx");
    command.args(["-g", &nginx::directives(directory.path()), "-e", "stderr", "-t", "-c"]);
    let checked = Process::run(command.arg(path));
    assert_eq!(checked.code, Some(0), "{}", checked.errors);
    assert!(checked.errors.contains("test is successful"), "{}", checked.errors);
}

#[test]
fn balancers_wait_as_long_as_nodes_need() {
    let silence = of_node("ping_ms") + of_node("pong_timeout_ms");
    let haproxy = haproxy::shipped_file();
    let nginx = nginx::shipped_file();
    let tunnels =
        [seconds_after(&haproxy, "timeout tunnel"), seconds_after(&nginx, "proxy_read_timeout")];
    for tunnel in tunnels {
        assert!(tunnel[0] > silence, "a node decides who is gone, after {silence:?}");
    }
    for (file, name) in [(&haproxy, "timeout http-keep-alive"), (&nginx, "keepalive_timeout")] {
        let idle = seconds_after(file, name);
        assert_eq!(idle.len(), 1, "{name}");
        assert!(idle[0] < of_node("keep_alive_timeout_ms"), "the node is never first: {name}");
    }
    let answers = [(&haproxy, "timeout server", 0), (&nginx, "proxy_read_timeout", 1)];
    for (file, name, place) in answers {
        let answer = seconds_after(file, name)[place];
        for key in ["store_timeout_ms", "cql_read_timeout_ms", "wide_subscribe_timeout_ms"] {
            assert!(answer > of_node(key), "{name} is above {key}");
        }
    }
    assert!(haproxy.contains(" fall 2 "));
    let check = seconds_after(&haproxy, "check inter")[0];
    assert!(4 * check < of_node("lame_duck_ms"), "a node that drains is noticed in half the time");
}
