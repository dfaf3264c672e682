//! A node with an environment that is made for a cluster, on servers of this machine.

use serde_json::Value;

use super::containerfile::container;
use super::document::Environment;
use super::jail::{Jail, JailedNode, warnings};
use crate::harness::{Process, RedisServer};

/// The password of the Redis user, and the key of tokens.
const PASSWORD: &str = "a-password:with@and/";
const KEY: &str = "a key of thirty-two bytes and some more";

/// The rights of the Redis user, as the operator's document gives them.
pub fn rights() -> String {
    let text = super::document::text("README.md");
    let line = text.lines().find_map(|line| line.strip_prefix("ACL SETUSER narrowcast on >secret"));
    line.expect("the rights").replace("<namespace>", "main")
}

/// A jail with an environment, and secrets as the environment names them.
pub fn jail(environment: &Environment, open_files: u32, secrets: &str, mode: u32) -> Jail {
    let jail = container(open_files).environment(environment);
    jail.groups_file(&format!("{secrets}/token-key"), mode, KEY);
    jail.groups_file(&format!("{secrets}/redis-password"), mode, &format!("{PASSWORD}\n"));
    jail
}

/// Holds an environment to the configuration: exactly it, with nothing added.
pub fn check(jail: &Jail) {
    let checked = Process::run(&mut jail.command(&["check-config"]));
    assert_eq!(checked.code, Some(0), "{}", checked.errors);
    assert_eq!(checked.errors, "", "nothing to warn of");
}

/// The servers that a node is for.
pub struct Servers {
    redis: [RedisServer; 2],
    cql: String,
}

impl Servers {
    pub fn start() -> Self {
        let user = format!("--user narrowcast on >{PASSWORD} {}", rights());
        let start = || RedisServer::start(&user.split_whitespace().collect::<Vec<_>>());
        let cql = std::env::var("NARROWCAST_TEST_CQL").expect("scripts/test starts a CQL server");
        Self { redis: [start(), start()], cql }
    }

    /// The environment with the addresses of these servers, a keyspace of its own, and ports of the
    /// system's choice. Nothing else is changed.
    pub fn here(&self, environment: &Environment) -> Environment {
        let mut all: Vec<(String, String)> = environment.clone();
        for (name, value) in &mut all {
            match name.rsplit("__").next() {
                Some("REDIS") => {
                    for (number, redis) in self.redis.iter().enumerate() {
                        let there = format!("redis://redis-{}", number + 1);
                        *value = value.replace(&there, &redis.url());
                    }
                }
                Some("NODES") => *value = format!("[{:?}]", self.cql),
                Some("CLIENTS" | "OPERATOR") => "127.0.0.1:0".clone_into(value),
                _ => {}
            }
        }
        let keyspace = format!("deploy_{:016x}", rand::random::<u64>());
        for (name, value) in [("KEYSPACE", &*keyspace), ("REPLICATION", "1")] {
            let name = format!("NARROWCAST__STORE__{name}");
            all.retain(|(known, _)| *known != name);
            all.push((name, value.to_owned()));
        }
        all
    }
}

/// Makes the schema as the deployment makes it, and starts a node.
pub async fn start<'a>(jail: &'a Jail, schema: &[String], serve: &[String]) -> JailedNode<'a> {
    let [schema, serve] =
        [schema, serve].map(|list| list.iter().map(|word| &**word).collect::<Vec<_>>());
    let applied = Process::run(&mut jail.command(&schema));
    assert_eq!(applied.code, Some(0), "{}", applied.errors);
    jail.serve(&serve).await
}

/// The node ends within its grace, and had nothing to warn of.
pub fn end(node: JailedNode<'_>, grace_ms: u64) {
    let log = node.ends_within(grace_ms);
    assert_eq!(warnings(&log), [""; 0], "{log}");
}

/// The texts of a list.
pub fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}
