//! What containers and supervisors do to a process: process 1, no output, no HOME, little memory, no
//! IPv6.

use std::process::Command;
use std::time::Duration;

use super::control_group::ControlGroup;
use super::document::Environment;
use super::jail::{Jail, warnings};
use crate::harness::{Process, eventually, eventually_within};

const USER: u32 = 65_532;
const FILES: u32 = 1024;

/// Bytes that a node of few sessions may have, and its part of a core.
const MEMORY: u64 = 64 << 20;
const CORES: f64 = 0.5;

/// How long a node with half a core may take to be ready.
const SLOW: Duration = Duration::from_secs(20);

/// As long as a node may take to end by default, and then some.
const GRACE_MS: u64 = 25_000;

fn embedded() -> Environment {
    let pair = |(name, value): (&str, &str)| (format!("NARROWCAST__{name}"), value.to_owned());
    let keys = [
        ("LISTEN__CLIENTS", "127.0.0.1:0"),
        ("LISTEN__OPERATOR", "127.0.0.1:0"),
        ("STORE__PATH", "/data"),
        ("TELEMETRY__FORMAT", "json"),
    ];
    keys.map(pair).to_vec()
}

fn jail() -> Jail {
    Jail::new(USER, FILES).environment(&embedded()).writable("/data")
}

/// Children of process 1 whose parents have died belong to it, and stay until it asks for them.
#[tokio::test]
async fn process_1_leaves_no_zombies() {
    let jail = jail();
    let node = jail.serve(&["serve"]).await;
    node.beside("pid", "(true &) ; (sleep 0.1 &)");
    let children = format!("/proc/{0}/task/{0}/children", node.id());
    let children = || std::fs::read_to_string(&children).expect("it runs");
    eventually("its orphans are gone", || children().is_empty()).await;
    node.ends_within(GRACE_MS);
}

/// No HOME, no PATH, and no standard output or input.
#[tokio::test]
async fn a_node_needs_no_output_and_no_home() {
    let jail = jail();
    let inner = jail.command(&["serve"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" <&- >&-"#]).arg(inner.get_program());
    let node = jail.started(command.args(inner.get_args()));
    eventually("the node is ready", || node.operator().get("/readyz").0 == 200).await;
    let environment = std::fs::read(format!("/proc/{}/environ", node.id())).expect("it runs");
    let environment = String::from_utf8(environment).expect("UTF-8");
    let names: Vec<&str> = environment.split_terminator('\0').collect();
    assert!(names.iter().all(|line| line.starts_with("NARROWCAST__")), "{names:?}");
    node.ends_within(GRACE_MS);
}

/// With a bound on memory where control groups can be made, and by the highest that was seen where
/// they cannot.
#[tokio::test]
async fn a_node_lives_in_64_mib_and_half_a_core() {
    let group = ControlGroup::new(MEMORY, CORES);
    let jail = jail();
    let mut command = group.within(&jail.command(&["serve"]));
    let node = jail.started(&mut command);
    eventually_within(SLOW, "it is ready", || node.operator().get("/readyz").0 == 200).await;
    let most = node.status("VmHWM");
    let own = node.status("RssFile");
    println!("control group: {group}; VmHWM {most}, of that files {own}");
    assert_eq!(node.operator().get("/metrics").0, 200);
    assert!(!group.is_there() || group.holds(node.id()), "the node is in the group");
    node.ends_within(GRACE_MS);
}

/// As Kubernetes gives secrets: root's, and readable by the group alone.
#[tokio::test]
async fn a_secret_of_root_that_the_group_may_read_is_no_mistake() {
    let keys = r#"[{ kid = "k1", alg = "HS256", file = "/secrets/key" }]"#;
    let keys = vec![("NARROWCAST__AUTH__KEYS".to_owned(), keys.to_owned())];
    for (mode, warned) in [(0o440, 0), (0o444, usize::from(super::jail::is_root()))] {
        let jail = jail().environment(&keys);
        jail.groups_file("/secrets/key", mode, "a key of thirty-two bytes and some more");
        let log = jail.serve(&["serve"]).await.ends_within(GRACE_MS);
        assert_eq!(warnings(&log).len(), warned, "{log}");
    }
}

#[tokio::test]
async fn a_node_needs_no_ipv6_and_says_where_it_would() {
    let jail = jail().without_ipv6();
    let node = jail.started(&mut jail.command(&["serve"]));
    let address = node.operator().address().replace(':', "/");
    let ask = format!(
        "bash -c 'exec 3<> /dev/tcp/{address}; \
         printf \"GET /readyz HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n\" >&3; cat <&3'"
    );
    let is_ready = || node.beside("net", &ask).starts_with("HTTP/1.1 200");
    eventually("the node is ready", is_ready).await;
    node.ends_within(GRACE_MS);

    let six = vec![("NARROWCAST__LISTEN__CLIENTS".to_owned(), "[::1]:0".to_owned())];
    let jail = jail.environment(&six);
    let ended = Process::run(&mut jail.command(&["serve"]));
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("listen.clients"), "{}", ended.errors);
}
