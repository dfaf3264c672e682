//! The nodes of a storm. The first of them is struck.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Duration, Instant, sleep};

use super::keyspace::OwnKeyspace;
use super::served::ServedNode;
use super::{StormFault, StormPlace};
use crate::bench::error::BenchError;
use crate::bench::nodes::{RunningNode, port_of};
use crate::bench::preflight::{check_nodes, check_redis};
use crate::bench::process_ports::listens;
use crate::bench::usage::ProcessUsage;
use crate::client::http_get;

/// How long a node may take until it is ready, and between two looks.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
const READY_POLL: Duration = Duration::from_millis(50);

/// The nodes. Own ones end with this, before their keyspace and their directory.
#[derive(Debug)]
pub(super) struct StormNodes {
    pub(super) addresses: Vec<RunningNode>,
    /// The process that is struck.
    pid: u32,
    /// Own processes, in the order of the addresses.
    served: Vec<ServedNode>,
    /// The configuration by which the struck node is started again; none if it is not.
    again: Option<PathBuf>,
    _keyspace: Option<OwnKeyspace>,
    _directory: tempfile::TempDir,
}

impl StormNodes {
    /// Starts the nodes, or finds them, and waits until all are ready.
    pub(super) async fn start(place: &StormPlace) -> Result<Self, BenchError> {
        let nodes = match place {
            StormPlace::Cql { nodes, cql, redis } => Self::on_cql(*nodes, cql, redis).await?,
            StormPlace::Restart => Self::one().await?,
            StormPlace::Running { nodes, pid } => Self::running(nodes, *pid).await?,
        };
        for node in &nodes.addresses {
            until_ready(node).await?;
        }
        Ok(nodes)
    }

    async fn on_cql(nodes: u32, cql: &str, redis: &[String]) -> Result<Self, BenchError> {
        if port_of(cql).is_none() {
            return Err(BenchError::Input(format!("--cql {cql}: the port is missing")));
        }
        check_redis(redis).await?;
        let keyspace = OwnKeyspace::make(cql).await?;
        let directory = tempfile::tempdir()?;
        let mut served = Vec::new();
        for number in 1..=nodes {
            let config = directory.path().join(format!("n{number}.toml"));
            let text = config_of(number, None, redis, &keyspace.table);
            std::fs::write(&config, text)?;
            served.push(ServedNode::start(&config).await?);
        }
        Ok(Self::own(served, None, Some(keyspace), directory))
    }

    /// One node on an embedded store, which can be started again where it was.
    async fn one() -> Result<Self, BenchError> {
        let directory = tempfile::tempdir()?;
        let config = directory.path().join("n1.toml");
        let path = directory.path().join("store").display().to_string();
        let store = format!("[store]\npath = {path:?}\n");
        std::fs::write(&config, config_of(1, None, &[], &store))?;
        let served = ServedNode::start(&config).await?;
        std::fs::write(&config, config_of(1, Some(&served.addresses), &[], &store))?;
        Ok(Self::own(vec![served], Some(config), None, directory))
    }

    fn own(
        served: Vec<ServedNode>,
        again: Option<PathBuf>,
        keyspace: Option<OwnKeyspace>,
        directory: tempfile::TempDir,
    ) -> Self {
        let addresses = served.iter().map(|node| node.addresses.clone()).collect();
        let pid = served[0].pid;
        Self { addresses, pid, served, again, _keyspace: keyspace, _directory: directory }
    }

    async fn running(nodes: &[RunningNode], pid: u32) -> Result<Self, BenchError> {
        check_nodes(nodes).await?;
        check_process(pid, &nodes[0])?;
        let directory = tempfile::tempdir()?;
        let (served, addresses) = (Vec::new(), nodes.to_vec());
        Ok(Self { addresses, pid, served, again: None, _keyspace: None, _directory: directory })
    }

    /// Where clients of a node connect, the other nodes behind it in their order.
    pub(super) fn urls_from(&self, node: usize) -> Vec<String> {
        let mut urls: Vec<String> = self.addresses.iter().map(|node| node.url.clone()).collect();
        urls.rotate_left(node);
        urls
    }

    /// The nodes that serve after the fault: a node that is started again, or all but the first.
    /// None are known of a single node that others run.
    pub(super) fn survivors(&self) -> &[RunningNode] {
        if self.again.is_some() { &self.addresses } else { &self.addresses[1..] }
    }

    /// Whether what the survivors counted begins with the fault.
    pub(super) const fn are_new(&self) -> bool {
        self.again.is_some()
    }

    /// Ends the first node.
    pub(super) fn strike(&self, fault: StormFault) -> Result<(), BenchError> {
        let signal = match fault {
            StormFault::Kill => Signal::KILL,
            StormFault::Drain => Signal::TERM,
        };
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| BenchError::Input(format!("--pid {}", self.pid)))?;
        Ok(kill_process(pid, signal).map_err(std::io::Error::from)?)
    }

    /// Starts the struck node again once it has ended, if that is planned.
    pub(super) async fn start_again(&mut self) -> Result<(), BenchError> {
        if let Some(config) = &self.again {
            self.served[0].ended().await?;
            self.served[0] = ServedNode::start(config).await?;
        }
        Ok(())
    }

    /// The CPU time of own nodes that live; none of nodes that others run.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let survivors =
            if self.again.is_some() { &self.served[..] } else { self.served.get(1..)? };
        let usage = |node: &ServedNode| Some(ProcessUsage::of(node.pid).ok()?.cpu);
        survivors.iter().map(usage).sum()
    }
}

/// A process that is no node must not be ended: it has to listen where the node does.
fn check_process(pid: u32, node: &RunningNode) -> Result<(), BenchError> {
    let input = |why: String| BenchError::Input(format!("--pid {pid}: {why}"));
    let port = port_of(&node.operator).expect("a running node was read with its ports");
    match listens(pid, port) {
        Ok(true) => Ok(()),
        Ok(false) => Err(input(format!("it does not listen on port {port} of {}", node.operator))),
        Err(error) => Err(input(error.to_string())),
    }
}

/// The configuration of an own node; without addresses the system chooses the ports.
fn config_of(number: u32, at: Option<&RunningNode>, redis: &[String], store: &str) -> String {
    let authority = |url: &str| {
        let rest = url.trim_start_matches("ws://").split('/').next();
        rest.unwrap_or_default().to_owned()
    };
    let (clients, operator) = match at {
        Some(node) => (authority(&node.url), node.operator.clone()),
        None => ("127.0.0.1:0".into(), "127.0.0.1:0".into()),
    };
    let shard =
        |(index, url): (usize, &String)| format!("{{ name = \"r{index}\", url = {url:?} }}");
    let shards: Vec<String> = redis.iter().enumerate().map(shard).collect();
    format!(
        "[node]\nname = \"n{number}\"\n[listen]\nclients = {clients:?}\noperator = {operator:?}\n\
         [layouts.a]\nredis = [{}]\n[rates]\nlimit_users = false\n{store}",
        shards.join(", ")
    )
}

async fn until_ready(node: &RunningNode) -> Result<(), BenchError> {
    let until = Instant::now() + READY_TIMEOUT;
    while !matches!(http_get(&node.operator, "/readyz").await, Ok((200, _))) {
        if Instant::now() > until {
            let operator = &node.operator;
            let timeout = READY_TIMEOUT.as_secs();
            let why = format!("http://{operator}/readyz: not ready within {timeout} s");
            return Err(BenchError::Answer(why));
        }
        sleep(READY_POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configurations_of_own_nodes_are_valid_and_keep_their_ports() {
        let store = "[store]\npath = \"x\"\n";
        let at =
            RunningNode { url: "ws://127.0.0.1:7/v1/ws".into(), operator: "127.0.0.1:8".into() };
        let text = config_of(1, Some(&at), &["redis://127.0.0.1:1".into()], store);
        let config = Config::load(Some(&text), std::iter::empty()).expect("a configuration");
        assert_eq!(config.listen.clients.to_string(), "127.0.0.1:7");
        assert_eq!(config.listen.operator.to_string(), "127.0.0.1:8");
    }
}
