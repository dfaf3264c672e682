//! A node of `serve` in a process of its own, which can be ended and started again alone.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::bench::error::BenchError;
use crate::bench::nodes::RunningNode;

/// Its log: where it serves, and why it does not.
const LOG: &str = "error,narrowcast::cli::serve=info,narrowcast::node::descriptors=off";

/// How long a node may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running node, killed when this is dropped.
#[derive(Debug)]
pub(super) struct ServedNode {
    child: Child,
    pub(super) pid: u32,
    /// Where it serves.
    pub(super) addresses: RunningNode,
}

impl ServedNode {
    /// Starts this program as a node by a configuration file.
    pub(super) async fn start(config: &PathBuf) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config"]).arg(config);
        command.env("NARROWCAST__TELEMETRY__LOG", LOG);
        command.env("NARROWCAST__TELEMETRY__FORMAT", "json");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let ended = || BenchError::Server("the node ended");
        let pid = child.id().ok_or_else(ended)?;
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let addresses = tokio::time::timeout(START_TIMEOUT, until_serving(&mut lines)).await;
        let addresses =
            addresses.map_err(|_elapsed| BenchError::Server("the node is silent"))??;
        // A pipe without a reader would stop the node at last.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, addresses })
    }

    /// Waits until its process has ended.
    pub(super) async fn ended(&mut self) -> Result<(), BenchError> {
        Ok(self.child.wait().await.map(drop)?)
    }
}

/// Reads the log up to the line that says where the node serves. A node that ends before has said
/// why in its last line.
async fn until_serving(
    lines: &mut Lines<BufReader<ChildStderr>>,
) -> Result<RunningNode, BenchError> {
    let mut last = String::new();
    while let Some(line) = lines.next_line().await? {
        let fields = serde_json::from_str::<Value>(&line).unwrap_or_default()["fields"].take();
        if fields["message"] == "serving" {
            let address = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            let (clients, operator) = (address("clients"), address("operator"));
            return Ok(RunningNode { url: format!("ws://{clients}/v1/ws"), operator });
        }
        last = fields["message"].as_str().map_or(line, ToOwned::to_owned);
    }
    Err(BenchError::Input(format!("the node does not start: {last}")))
}
