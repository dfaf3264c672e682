//! Where a load goes: running nodes, or nodes in a process of their own.

use super::costs::WatchedProcess;
use crate::bench::error::BenchError;
use crate::bench::nodes::RunningNode;
use crate::bench::process::ServerProcess;

/// Keys of nodes that are started: those of `config/loadtest.toml`.
const KEYS: [(&str, &str); 8] = [
    ("LISTEN__HANDSHAKES", "65536"),
    ("RATES__LIMIT_USERS", "false"),
    ("RATES__FRAME_BURST", "100000"),
    ("RATES__FRAMES_PER_S", "10000"),
    ("RATES__BYTE_BURST", "1073741824"),
    ("RATES__BYTES_PER_S", "16777216"),
    ("RATES__ROOM_BURST", "91400"),
    ("RATES__ROOM_PER_S", "1"),
];

/// Where a load goes.
#[derive(Debug, Clone)]
pub enum LoadServers {
    /// So many nodes of its own, in one process.
    Own(u32),
    /// Addresses of running nodes or their balancers.
    Urls(Vec<String>),
    /// Running nodes with their operators' listeners.
    Nodes(Vec<RunningNode>),
}

/// Servers that are there.
pub(super) struct StartedServers {
    /// Where clients connect.
    pub(super) urls: Vec<String>,
    /// Nodes whose metrics can be read.
    pub(super) nodes: Vec<RunningNode>,
    own: Option<ServerProcess>,
}

impl LoadServers {
    /// Starts those that are its own, on these Redis shards or joined in memory.
    pub(super) async fn start(&self, redis: &[String]) -> Result<StartedServers, BenchError> {
        match self {
            Self::Own(nodes) => own(*nodes, redis).await,
            Self::Urls(urls) => {
                Ok(StartedServers { urls: urls.clone(), nodes: Vec::new(), own: None })
            }
            Self::Nodes(nodes) => {
                let urls = nodes.iter().map(|node| node.url.clone()).collect();
                Ok(StartedServers { urls, nodes: nodes.clone(), own: None })
            }
        }
    }
}

async fn own(nodes: u32, redis: &[String]) -> Result<StartedServers, BenchError> {
    let fixed = ["demo", "--json", "--listen", "127.0.0.1:0", "--nodes"].map(String::from);
    let redis = redis.iter().flat_map(|url| ["--redis".to_owned(), url.clone()]);
    let arguments: Vec<_> = fixed.into_iter().chain([nodes.to_string()]).chain(redis).collect();
    let keys = KEYS.map(|(key, value)| (key, value.to_owned()));
    let process = ServerProcess::start(&arguments, &keys).await?;
    let node = |(url, operator): (&String, &String)| RunningNode {
        url: url.clone(),
        operator: operator.clone(),
    };
    let nodes = process.urls.iter().zip(&process.operators).map(node).collect();
    Ok(StartedServers { urls: process.urls.clone(), nodes, own: Some(process) })
}

impl StartedServers {
    /// Their process, if it is the load's own.
    pub(super) fn process(&self) -> Option<WatchedProcess> {
        let own = self.own.as_ref();
        own.map(|process| WatchedProcess { label: "nodes".into(), pid: process.pid })
    }

    pub(super) async fn stop(self) -> Result<(), BenchError> {
        match self.own {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_nodes_are_those_of_the_file() {
        let file = include_str!("../../../config/loadtest.toml");
        let lines: Vec<_> = file.lines().filter(|line| line.contains(" = ")).collect();
        assert_eq!(lines.len(), KEYS.len());
        for (key, value) in KEYS {
            let name = key.split("__").last().unwrap().to_lowercase();
            assert!(lines.contains(&&*format!("{name} = {value}")), "{name}");
        }
    }
}
