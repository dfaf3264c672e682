//! The files that describe how a node is deployed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Finished, Process};

/// Where a file of `config` is.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a YAML file.
pub fn yaml(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Variables and their values.
pub type Environment = Vec<(String, String)>;

/// The texts of a table of YAML.
pub fn environment(table: &Value) -> Environment {
    let table = table.as_object().expect("a table");
    let text = |value: &Value| value.as_str().expect("a text, as environments hold").to_owned();
    table.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// One value of a configuration in the form in which the environment gives it.
pub fn variable(environment: &Environment, name: &str) -> String {
    let found = environment.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.clone()
}

/// The port of an address.
pub fn port(address: &str) -> u64 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("an address")
}

/// The longest time that a node may take to end with this environment: its drain, and the store's
/// own second.
pub fn end_ms(environment: &Environment) -> u64 {
    let timeouts = environment.iter().filter(|(name, _)| name.contains("__TIMEOUTS__"));
    let mut command = Process::narrowcast();
    let printed = Process::run(command.arg("print-config").env_clear().envs(timeouts.cloned()));
    let Finished { output, errors, code } = printed;
    assert_eq!(code, Some(0), "{errors}");
    let config: toml::Value = toml::from_str(&output).expect("TOML");
    let drain = config["timeouts"]["drain_timeout_ms"].as_integer().expect("a number");
    drain as u64 + 1000
}
