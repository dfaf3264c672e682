//! The log of a node: whose line it is, in both formats.

use serde_json::Value;

use crate::harness::Demo;

/// The lines of two nodes until both have their shard.
fn lines(format: &str) -> Vec<String> {
    let mut demo = Demo::start(2, &[], &[("TELEMETRY__FORMAT", format)]);
    let said = demo.process.finish();
    said.lines().filter(|line| line.contains("is connected")).map(str::to_owned).collect()
}

#[test]
fn a_text_line_names_its_node() {
    let lines = lines("text");
    for node in ["n1", "n2"] {
        let told = format!(" INFO {node} shard memory is connected");
        assert_eq!(lines.iter().filter(|line| line.ends_with(&told)).count(), 1, "{lines:?}");
    }
}

#[test]
fn a_json_line_names_its_node() {
    let lines: Vec<Value> =
        lines("json").iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for node in ["n1", "n2"] {
        let is_its = |line: &&Value| line["node"] == node;
        let line = lines.iter().find(is_its).unwrap_or_else(|| panic!("{lines:?}"));
        assert_eq!(line["fields"]["message"], "shard memory is connected");
        assert_eq!(line["level"], "INFO");
    }
}
