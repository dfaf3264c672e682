//! Three nodes, their servers and a balancer, on one machine.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::containerfile::user;
use super::document::{Environment, end_ms, environment, path, port, text, variable, yaml};
use super::together::{Servers, check, end, jail, rights, start, texts};
use crate::harness::{Process, RedisServer, Resp};

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

/// Runs the commands of the operator's document that make the secrets, in a directory.
fn make_secrets(directory: &Path) {
    let page = text("README.md");
    let section = page.split("## From nothing to three nodes").nth(1).expect("the section");
    let commands = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let script = format!("set -e\n{}", commands.expect("commands"));
    let made = Process::run(Command::new("sh").args(["-c", &script]).current_dir(directory));
    assert_eq!((made.code, &*made.errors), (Some(0), ""));
}

#[test]
fn the_documents_commands_make_all_secrets() {
    let home = tempfile::tempdir().expect("a directory");
    make_secrets(home.path());
    for (name, secret) in file()["secrets"].as_object().expect("secrets") {
        let made = home.path().join(secret["file"].as_str().expect("a path"));
        let file = made.metadata().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.permissions().mode() & 0o777, SECRETS_MODE, "{name}");
    }
    let key = std::fs::read(home.path().join("secrets/token-key")).expect("a key");
    assert!(key.len() > 32, "as RFC 7518 asks");
    let acl = std::fs::read_to_string(home.path().join("secrets/redis-acl")).expect("a list");
    assert!(acl.trim_end().ends_with(rights().trim()), "{acl}");
}

/// Redis as the file starts it, with the list of users that the commands made.
#[test]
#[ignore = "needs redis-server"]
fn redis_takes_the_users_that_the_documents_commands_make() {
    let home = tempfile::tempdir().expect("a directory");
    make_secrets(home.path());
    let command = texts(&file()["services"]["redis-1"]["command"]);
    assert_eq!(command[0], "redis-server");
    let list = home.path().join("secrets/redis-acl");
    let list = list.to_str().expect("UTF-8");
    let arguments = command[1..].iter().map(|word| word.replace("/run/secrets/redis-acl", list));
    let arguments: Vec<String> = arguments.collect();
    let redis = RedisServer::start(&arguments.iter().map(|word| &**word).collect::<Vec<_>>());
    let password = std::fs::read_to_string(home.path().join("secrets/redis-password"));
    let password = password.expect("a password");
    let mut resp = Resp::connect(redis.port());
    assert!(resp.try_ask(&["GET", "nc:main:a"]).is_err(), "no one else is let in");
    resp.try_ask(&["AUTH", "narrowcast", password.trim_end()]).expect("it is the password");
    resp.try_ask(&["SET", "nc:main:a", "1"]).expect("its own keys");
    assert!(resp.try_ask(&["SET", "other", "1"]).is_err(), "no other keys");
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
