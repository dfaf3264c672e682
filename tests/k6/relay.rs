//! A relay that breaks what nodes promise: `relay.mjs`.

use std::process::Command;

use serde_json::Value;

use super::load_test::root;
use crate::harness::{Demo, Process};

pub struct Relay {
    _process: Process,
    /// One for each node.
    pub urls: Vec<String>,
}

impl Relay {
    /// Strikes each `every`th delivery, before all nodes of the demo.
    pub fn start(mode: &str, every: u32, demo: &Demo) -> Self {
        let mut command = Command::new("node");
        command.arg(root().join("tests/k6/relay.mjs")).args([mode, &every.to_string()]);
        command.args(demo.nodes.iter().map(|node| &node.url));
        let mut process = Process::start(&mut command);
        let told: Value = serde_json::from_str(&process.line()).expect("one line of JSON");
        let urls = serde_json::from_value(told["urls"].clone()).expect("a list of URLs");
        Self { _process: process, urls }
    }
}
