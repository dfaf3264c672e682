//! A server in a process of its own, so that its costs are not mixed with the load's.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::error::BenchError;
use super::usage::ProcessUsage;

/// Its log filter. The warning that it has the development key is left out: the load signs with
/// that key.
const LOG: &str = "warn,narrowcast::cli=error,narrowcast::node::descriptors=error";

/// How long a server may take to print its addresses.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server, killed when this is dropped.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    /// The directory of its store: a killed server removes nothing itself.
    _directory: tempfile::TempDir,
    pub(super) pid: u32,
    /// Where clients connect, one address per node.
    pub(super) urls: Vec<String>,
    /// Where operators ask, as `host:port`, one address per node that has one.
    pub(super) operators: Vec<String>,
}

impl ServerProcess {
    /// Starts this program with arguments that make it print one line of JSON with `nodes`, and
    /// with keys of the configuration.
    pub(super) async fn start(
        arguments: &[String],
        keys: &[(&str, String)],
    ) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        let directory = tempfile::tempdir()?;
        command.env("TMPDIR", directory.path());
        command.args(arguments).env("NARROWCAST__TELEMETRY__LOG", LOG);
        // The load consists of few users that send as fast as they can.
        command.env("NARROWCAST__RATES__LIMIT_USERS", "false");
        command.envs(keys.iter().map(|(key, value)| (format!("NARROWCAST__{key}"), value)));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        let line = line.map_err(|_elapsed| BenchError::Server("the server is silent"))??;
        let ended = || BenchError::Server("the server ended");
        let ready: Value = serde_json::from_str(&line.ok_or_else(ended)?)
            .map_err(|error| BenchError::Answer(error.to_string()))?;
        let nodes = ready["nodes"].as_array().cloned().unwrap_or_default();
        let text = |node: &Value, name: &str| node[name].as_str().map(ToOwned::to_owned);
        let urls = nodes.iter().filter_map(|node| text(node, "url")).collect();
        let operator =
            |node: &Value| text(node, "operator")?.strip_prefix("http://").map(Into::into);
        let operators = nodes.iter().filter_map(operator).collect();
        let pid = child.id().ok_or_else(ended)?;
        Ok(Self { child, _directory: directory, pid, urls, operators })
    }

    /// What it used so far.
    pub(super) fn usage(&self) -> Result<ProcessUsage, BenchError> {
        ProcessUsage::of(self.pid)
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        Ok(self.child.kill().await?)
    }
}
