//! Three nodes, their servers and a balancer, on one machine.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::containerfile::user;
use super::document::{Environment, end_ms, environment, path, port, text, variable, yaml};
use super::together::{Servers, check, end, jail, start, texts};

const FILE: &str = "deploy/compose.yaml";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const SECRETS: &str = "/run/secrets";

/// The mode that the operator's document gives the secrets. Compose mounts them as they are.
const SECRETS_MODE: u32 = 0o444;

fn file() -> Value {
    yaml(FILE).remove(0)
}

fn node_environment(file: &Value) -> Environment {
    environment(&file["services"]["n1"]["environment"])
}

fn open_files(file: &Value) -> u32 {
    file["services"]["n1"]["ulimits"]["nofile"].as_u64().expect("a number") as u32
}

/// In milliseconds, of `30s`.
fn grace_ms(file: &Value) -> u64 {
    let grace = file["services"]["n1"]["stop_grace_period"].as_str().expect("a time");
    grace.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()).expect("seconds") * 1000
}

/// Every name that a part of the file goes by is that of another part.
#[test]
fn the_parts_of_the_file_know_each_other() {
    let file = file();
    let names = |key: &str| -> BTreeSet<String> {
        file[key].as_object().expect("a table").keys().cloned().collect()
    };
    let (services, secrets, networks) = (names("services"), names("secrets"), names("networks"));
    for (name, service) in file["services"].as_object().expect("services") {
        let depends = match &service["depends_on"] {
            Value::Object(table) => table.keys().cloned().collect(),
            Value::Array(_) => texts(&service["depends_on"]),
            _ => Vec::new(),
        };
        assert!(depends.iter().all(|other| services.contains(other)), "{name}: {depends:?}");
        let used =
            if service["secrets"].is_null() { Vec::new() } else { texts(&service["secrets"]) };
        assert!(used.iter().all(|secret| secrets.contains(secret)), "{name}: {used:?}");
        let joined: Vec<String> = match &service["networks"] {
            Value::Object(table) => table.keys().cloned().collect(),
            list => texts(list),
        };
        assert!(joined.iter().all(|network| networks.contains(network)), "{name}: {joined:?}");
    }
    let own = node_environment(&file);
    for server in ["redis-1", "redis-2"] {
        let redis = variable(&own, "NARROWCAST__LAYOUTS__A__REDIS");
        assert!(services.contains(server) && redis.contains(&format!("redis://{server}\"")));
    }
    assert_eq!(variable(&own, "NARROWCAST__STORE__NODES"), r#"["scylla"]"#);
    assert!(services.contains("scylla"));
}

#[test]
fn nodes_are_alike_locked_in_and_have_the_time_they_need() {
    let file = file();
    for name in NODES {
        let node = &file["services"][name];
        assert_eq!(node["environment"], file["services"]["schema"]["environment"], "{name}");
        assert_eq!(node["hostname"], name);
        assert_eq!(node["user"], format!("{0}:{0}", user()));
        assert_eq!((&node["read_only"], &node["cap_drop"]), (&json!(true), &json!(["ALL"])));
        assert!(node["ports"].is_null(), "clients come by the balancer");
    }
    assert!(grace_ms(&file) > end_ms(&node_environment(&file)));
}

/// What the balancer is given, and where it sends clients.
#[test]
fn the_balancer_knows_the_nodes_by_their_addresses() {
    let file = file();
    let balancer = &file["services"]["balancer"];
    let mount = texts(&balancer["volumes"]).remove(0);
    let name = mount.split(':').next().expect("a path").strip_prefix("../").expect("of config");
    assert!(path(name).exists(), "{name}");
    let haproxy = text(name);
    let clients = port(&variable(&node_environment(&file), "NARROWCAST__LISTEN__CLIENTS"));
    for node in NODES {
        let address = &file["services"][node]["networks"]["nodes"]["ipv4_address"];
        let server = format!("server {node} {}:{clients} ", address.as_str().expect("an address"));
        assert!(haproxy.contains(&server), "{server}");
    }
    let own = balancer["networks"]["nodes"]["ipv4_address"].as_str().expect("an address");
    let trusted = variable(&node_environment(&file), "NARROWCAST__LISTEN__TRUSTED");
    assert_eq!(trusted, format!("[\"{own}/32\"]"));
    let bind = texts(&balancer["entrypoint"]).remove(2);
    let replaced = bind.split('/').nth(1).expect("what sed replaces");
    assert!(haproxy.contains(replaced), "{replaced}");
}

#[test]
fn the_environment_is_a_configuration_without_mistakes() {
    let file = file();
    let own = node_environment(&file);
    check(&jail(&own, open_files(&file), SECRETS, SECRETS_MODE));
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_node_runs_as_the_file_says_and_ends_in_time() {
    let file = file();
    let servers = Servers::start();
    let own = servers.here(&node_environment(&file));
    let jail = jail(&own, open_files(&file), SECRETS, 0o440);
    let [schema, serve] = ["schema", "n1"].map(|name| texts(&file["services"][name]["command"]));
    let node = start(&jail, &schema, &serve).await;
    end(node, grace_ms(&file));
}
