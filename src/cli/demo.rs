//! `demo`: nodes to try out, in one process.

use std::future::pending;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use clap::Args;
use serde_json::json;

use super::output::print_line;
use super::signals::StopRequests;
use super::token::{Signer, everything};
use super::{CliFailure, block_on, settings};
use crate::node::{Cluster, ClusterOptions, Node};
use crate::telemetry::say_error;

/// Most nodes: each has threads of its own.
const NODES_MAX: u32 = 64;

/// Where the other commands look for a node.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Runs nodes to try out, in this process, with a store that is deleted at the end.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// How many nodes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    nodes: u32,
    /// A Redis shard; may be given several times, and `{node}` in it stands for the number of the
    /// node. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// Where the first node takes clients, on loopback. The operator's port is the next one, and
    /// further nodes follow; ports that are taken are passed over. Port 0 takes free ports.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// One line of JSON instead of text for humans.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let plan = ClusterOptions {
            addresses: free_addresses(self.listen, self.nodes)?,
            nodes: self.nodes,
            redis: self.redis,
            unknown_frames: !self.json,
            ..ClusterOptions::default()
        };
        let config = plan.config(1).map_err(CliFailure::usage)?;
        config.check_demo().map_err(CliFailure::usage)?;
        settings::begin_log(&config)?;
        settings::warn_of_exposed_secrets(&config, None);
        block_on(async {
            // Signals are handled before there is anything that one could leave behind.
            let mut requests = StopRequests::of_terminal()?;
            let directory = tempfile::tempdir().map_err(CliFailure::failed)?;
            let signer = Signer::of(&config);
            let cluster = Cluster::start(&plan, directory.path()).map_err(CliFailure::failed)?;
            let played = tokio::select! {
                played = play(&cluster, &signer, self.json) => played,
                _kind = requests.next() => Ok(()),
            };
            requests.unless_again(cluster.stop()).await?;
            directory.close().map_err(CliFailure::failed)?;
            played
        })
    }
}

/// Prints where the nodes are once they are ready, and then waits.
async fn play(cluster: &Cluster, signer: &Signer, json: bool) -> Result<(), CliFailure> {
    cluster.ready().await.map_err(CliFailure::failed)?;
    let [alice, bob] = ["alice", "bob"].map(|user| everything(signer, user));
    if json {
        print_line(description(cluster, &alice, &bob))?;
    } else {
        explain(cluster, &alice, &bob)?;
    }
    pending().await
}

/// Where the nodes are, for programs.
fn description(cluster: &Cluster, alice: &str, bob: &str) -> serde_json::Value {
    let node = |(index, node): (usize, &Node)| json!({"url": cluster.url(index), "operator": format!("http://{}", node.operator())});
    let nodes: Vec<_> = cluster.nodes.iter().enumerate().map(node).collect();
    json!({"nodes": nodes, "tokens": {"alice": alice, "bob": bob}})
}

/// Returns two addresses for each node, from `first` on. Tells which ports are taken.
fn free_addresses(first: SocketAddr, nodes: u32) -> Result<Vec<[SocketAddr; 2]>, CliFailure> {
    if !first.ip().is_loopback() {
        let message = format!("--listen: {first} is not on loopback, and a demo's key is public");
        return Err(CliFailure::Usage(message));
    }
    if first.port() == 0 {
        return Ok(vec![[first; 2]; nodes as usize]);
    }
    let wanted = nodes as usize * 2;
    let mut free = Vec::with_capacity(wanted);
    for port in first.port()..=u16::MAX {
        let address = SocketAddr::new(first.ip(), port);
        match TcpListener::bind(address) {
            Ok(_released) => free.push(address),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                say_error(format_args!("port {port} is taken: the next one is tried"));
            }
            Err(error) => return Err(CliFailure::Failed(format!("--listen: {address}: {error}"))),
        }
        if free.len() == wanted {
            return Ok(free.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect());
        }
    }
    Err(CliFailure::Failed(format!("--listen: fewer than {wanted} ports from {first} on are free")))
}

/// Where the nodes are and what to type next, for humans.
fn explain(cluster: &Cluster, alice: &str, bob: &str) -> Result<(), CliFailure> {
    for (index, node) in cluster.nodes.iter().enumerate() {
        let (url, operator) = (cluster.url(index), node.operator());
        print_line(format_args!("{}: {url}  operator http://{operator}", node.name()))?;
    }
    let (first, last) = (url_option(cluster, 0), url_option(cluster, cluster.nodes.len() - 1));
    print_line(format_args!(
        "\nalice: {alice}\nbob:   {bob}\n\n\
         Listen as Bob, in a second terminal:\n  \
         narrowcast tail user.alice --as bob{last}\n\
         Write as Alice, in a third one:\n  \
         narrowcast send user.bob 'Hi!' --as alice{first}\n\n\
         Ctrl-C ends it, and what was stored goes with it."
    ))
}

/// How commands name a node: not at all where they look by themselves.
fn url_option(cluster: &Cluster, node: usize) -> String {
    let address = cluster.nodes[node].clients();
    if address == DEFAULT_ADDRESS { String::new() } else { format!(" --url ws://{address}") }
}
