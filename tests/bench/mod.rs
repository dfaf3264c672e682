//! The load generator's commands, as people and programs use them.

mod bad_input;
mod beside_k6;
mod controls;
mod crowd;
mod fields;
mod load_run;
mod mistakes;
mod passes;
mod storm;

use serde_json::Value;

use crate::harness::{Finished, Process};

/// Runs `bench` with arguments, to its end.
fn bench(arguments: &[&str]) -> Finished {
    Process::run(Process::narrowcast().arg("bench").args(arguments))
}

/// The objects that a command printed, one on each line.
fn objects(ended: &Finished) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("one object on each line");
        assert!(value.is_object(), "{line}");
        value
    };
    ended.output.lines().map(object).collect()
}
