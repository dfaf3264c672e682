//! Several nodes in one process, on one store: for trying things out and for measurements.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backends::{BackendError, close_store, memory_bus, open_store, redis_bus};
use super::plan::NodeOptions;
use super::start::{Node, StartError};
use crate::clock::MachineClock;
use crate::config::{Config, ConfigErrors};
use crate::store::Store;

/// How long nodes may take to be ready. A reader that waits for a line of `demo` waits longer, and
/// so gets the reason.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two checks whether they are ready.
const READY_POLL: Duration = Duration::from_millis(20);

/// Keys of the environment that cannot be the same for all nodes of a process.
const OWN_TO_A_NODE: [&str; 3] =
    ["NARROWCAST__LISTEN__CLIENTS", "NARROWCAST__LISTEN__OPERATOR", "NARROWCAST__NODE__NAME"];

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The configuration of a node is refused.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A backend cannot be opened.
    #[error("{0}")]
    Backend(#[from] BackendError),
    /// A node does not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The nodes are not ready in time.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// The nodes to start.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// How many.
    pub nodes: u32,
    /// Buckets of each class, unless the configuration decides.
    pub buckets: Option<u32>,
    /// Redis shards of layout `a`; none joins the nodes in memory. `{node}` in a URL stands for the
    /// number of the node, from 1 on, because a shard's address may differ between nodes.
    pub redis: Vec<String>,
    /// More tables of the nodes' configurations, as TOML, in the order of the nodes. They may
    /// differ, as they do in the middle of a change of layout. Nodes beyond the list have none.
    pub tables: Vec<String>,
    /// Where nodes listen, for clients and for the operator, in the order of the nodes. Nodes beyond
    /// the list take free ports of loopback.
    pub addresses: Vec<[SocketAddr; 2]>,
    /// Whether users send, publish and read without limits: a load generator has few users.
    pub unlimited: bool,
    /// Whether clients get frames that they do not know.
    pub unknown_frames: bool,
}

/// Running nodes.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    store: Arc<dyn Store>,
    drain: Duration,
}

impl ClusterOptions {
    /// Returns the configuration of the node of a number, from 1 on. The process's environment wins
    /// over these options, and they win over the defaults.
    pub fn config(&self, number: u32) -> Result<Config, ConfigErrors> {
        let shard = |(index, url): (usize, &String)| {
            let url = url.replace("{node}", &number.to_string());
            format!("{{ name = \"r{}\", url = {url:?} }}", index + 1)
        };
        let shards: Vec<String> = self.redis.iter().enumerate().map(shard).collect();
        let buckets = self.buckets.map_or_else(String::new, |count| {
            format!("buckets = {{ user = {count}, room = {count}, topic = {count} }}\n")
        });
        let [clients, operator] = self.addresses_of(number);
        let text = format!(
            "[node]\nname = \"n{number}\"\n\
             [listen]\nclients = \"{clients}\"\noperator = \"{operator}\"\nunknown_frames = {}\n\
             [rates]\nlimit_users = {}\n\
             [layouts.a]\n{buckets}redis = [{}]\n{}",
            self.unknown_frames,
            !self.unlimited,
            shards.join(", "),
            self.tables_of(number),
        );
        let of_all = |name: &OsStr| OWN_TO_A_NODE.iter().all(|own| name != *own);
        Config::load(Some(&text), std::env::vars_os().filter(|(name, _)| of_all(name)))
    }

    fn addresses_of(&self, number: u32) -> [SocketAddr; 2] {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let place = number.checked_sub(1).map(|place| place as usize);
        place.and_then(|place| self.addresses.get(place)).copied().unwrap_or([any; 2])
    }

    fn tables_of(&self, number: u32) -> &str {
        let place = number.checked_sub(1).map(|place| place as usize);
        place.and_then(|place| self.tables.get(place)).map_or("", String::as_str)
    }
}

/// Returns what keeps a node from being ready. A node is ready if it takes sessions and has all of
/// its shard connections; what other clients do on its shards does not matter.
fn reasons_against(node: &Node) -> Vec<String> {
    let readiness = node.readiness();
    let [_up, down, starting] = readiness.links_by_state();
    if readiness.refusal().is_none() && down + starting == 0 {
        return Vec::new();
    }
    readiness.verdict().1.into_iter().map(|reason| reason.detail).collect()
}

impl Cluster {
    /// Starts the nodes on the store of the first one's configuration, an embedded one in
    /// `directory`. Their shard connections come up afterwards.
    pub fn start(plan: &ClusterOptions, directory: &Path) -> Result<Self, ClusterError> {
        let first = plan.config(1)?;
        let store = open_store(&first, directory)?;
        let memory = memory_bus(&first);
        let mut nodes = Vec::new();
        for number in 1..=plan.nodes {
            let config = plan.config(number)?;
            let bus = match config.published().shards.as_slice() {
                [] => Arc::clone(&memory),
                _ => redis_bus(&config),
            };
            let (config, store) = (Arc::new(config), Arc::clone(&store));
            nodes.push(Node::start(&NodeOptions {
                config,
                bus,
                store,
                machine: MachineClock::default(),
            })?);
        }
        Ok(Self { nodes, store, drain: first.timeouts.drain })
    }

    /// Waits until all nodes are ready. An error states what keeps them from it.
    pub async fn ready(&self) -> Result<(), ClusterError> {
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            let reasons = self.reasons();
            if reasons.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(ClusterError::NotReady(reasons.join("; ")));
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Returns what keeps the nodes from being ready, each reason once.
    fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.nodes.iter().flat_map(reasons_against).collect();
        let known = |node: &&Node| node.live_nodes() as usize == self.nodes.len();
        let alone = self.nodes.iter().filter(|node| !known(node));
        reasons.extend(alone.map(|node| format!("{} does not know all others yet", node.name())));
        reasons.sort();
        reasons.dedup();
        reasons
    }

    /// Returns where clients of a node connect.
    pub fn url(&self, node: usize) -> String {
        format!("ws://{}/v1/ws", self.nodes[node].clients())
    }

    /// Stops the nodes together, then the store.
    pub async fn stop(self) {
        let until = std::time::Instant::now() + self.drain;
        self.nodes.iter().for_each(Node::drain);
        for node in self.nodes {
            node.stop().await;
        }
        close_store(&self.store, until).await;
    }
}
