//! A node of the `serve` command.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Operator, Process};

/// The variable of how long a node accepts connections after SIGTERM.
pub const LAME_DUCK: &str = "NARROWCAST__TIMEOUTS__LAME_DUCK_MS";

/// The variable of whether users have rates.
const LIMIT_USERS: &str = "NARROWCAST__RATES__LIMIT_USERS";

pub struct Served {
    pub process: Process,
    /// Where clients connect.
    pub url: String,
    pub operator: Operator,
}

impl Served {
    /// Starts a node by a configuration file that gives ports of the system's choice; it tells
    /// them in its log.
    pub fn start(config: &Path) -> Self {
        Self::by(Process::narrowcast(), config)
    }

    /// The same, with rates of users.
    pub fn with_rates(config: &Path) -> Self {
        let mut command = Process::narrowcast();
        command.env(LIMIT_USERS, "true");
        Self::by(command, config)
    }

    /// The same without, in a process that may open so many files.
    pub fn with_descriptors(config: &Path, files: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        command.arg(Process::narrowcast().get_program());
        Self::by(command, config)
    }

    /// The node that a program starts by a configuration file.
    pub fn by(mut command: Command, config: &Path) -> Self {
        command.args(["serve", "--config"]).arg(config);
        Self::of(command)
    }

    /// A node that a command starts. Unless the command says otherwise, it does not wait for
    /// balancers at its end, and its users have no rates.
    pub fn of(mut command: Command) -> Self {
        for (name, value) in [(LAME_DUCK, "0"), (LIMIT_USERS, "false")] {
            if !command.get_envs().any(|(given, _)| given == name) {
                command.env(name, value);
            }
        }
        command.env("NARROWCAST__TELEMETRY__FORMAT", "json");
        Self::running(Process::start(&mut command))
    }

    /// The node of a process that has started one.
    pub fn running(mut process: Process) -> Self {
        let (clients, operator) = process.error_line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let fields = (line["fields"]["message"] == "serving").then_some(&line["fields"])?;
            Some((fields["clients"].as_str()?.to_owned(), fields["operator"].as_str()?.to_owned()))
        });
        let operator = Operator::new(&format!("http://{operator}"));
        Self { process, url: format!("ws://{clients}/v1/ws"), operator }
    }
}
