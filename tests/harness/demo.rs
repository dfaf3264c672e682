//! Nodes of the `demo` command.

use std::process::Command;

use serde_json::Value;

use super::{Operator, Process};

pub struct Demo {
    pub process: Process,
    pub nodes: Vec<DemoNode>,
    pub alice: String,
    pub bob: String,
    /// Where its store is: a process that is killed removes nothing. Dropped behind the process.
    _temporary: Option<tempfile::TempDir>,
}

pub struct DemoNode {
    /// Where clients connect.
    pub url: String,
    /// Where the operator asks.
    pub operator: Operator,
}

impl Demo {
    /// Starts `nodes` nodes on these Redis shards, or joined in memory, with keys of the
    /// configuration given as (`LIMITS__BODY_BYTES`, value); ready when this returns.
    pub fn start(nodes: usize, redis: &[&str], keys: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut command = Self::command(nodes, redis, keys);
        let process = Process::start(command.env("TMPDIR", temporary.path()));
        Self { _temporary: Some(temporary), ..Self::of(process) }
    }

    /// Nodes of a process that was started; ready when this returns.
    pub fn of(mut process: Process) -> Self {
        let line = process.line();
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let node = |node: &Value| DemoNode {
            url: text(&node["url"]),
            operator: Operator::new(&text(&node["operator"])),
        };
        let nodes = ready["nodes"].as_array().expect("a list").iter().map(node).collect();
        let (alice, bob) = (text(&ready["tokens"]["alice"]), text(&ready["tokens"]["bob"]));
        Self { process, nodes, alice, bob, _temporary: None }
    }

    pub fn command(nodes: usize, redis: &[&str], keys: &[(&str, &str)]) -> Command {
        let mut command = Process::narrowcast();
        command.args(["demo", "--json", "--listen", "127.0.0.1:0", "--nodes", &nodes.to_string()]);
        redis.iter().for_each(|url| {
            command.args(["--redis", url]);
        });
        // Tests send as fast as they can; those of the rates say so.
        command.env("NARROWCAST__RATES__LIMIT_USERS", "false");
        command.envs(keys.iter().map(|(key, value)| (format!("NARROWCAST__{key}"), value)));
        command
    }
}
