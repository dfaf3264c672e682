//! Nodes behind a load balancer. Each is alone, on a store of its own: what is tested is the way to
//! a node.

use std::path::{Path, PathBuf};

use crate::harness::{LAME_DUCK, Process, Served, eventually, free_port};

/// Nodes that HAProxy tells by the PROXY protocol for whom a connection is.
pub const BEHIND_HAPROXY: &str =
    "listen.trusted = [\"127.0.0.1/32\"]\nlisten.proxy_protocol = true\n";

/// Nodes that nginx tells the same by a header.
pub const BEHIND_NGINX: &str = "listen.trusted = [\"127.0.0.1/32\"]\n";

pub struct Fleet {
    places: Vec<Place>,
    lame_duck_ms: u32,
    _directory: tempfile::TempDir,
}

/// Where a node runs: its address is its own for as long as the fleet stands.
struct Place {
    address: String,
    config: PathBuf,
    served: Option<Served>,
}

impl Fleet {
    /// So many nodes with these lines in their files, all ready.
    pub async fn start(count: usize, lines: &str) -> Self {
        Self::with_lame_duck(count, lines, 0).await
    }

    /// The same, where a node goes on for so long after it was told to end.
    pub async fn with_lame_duck(count: usize, lines: &str, lame_duck_ms: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let places = (1..=count).map(|number| Place::new(number, lines, directory.path()));
        let places = places.collect();
        let mut fleet = Self { places, lame_duck_ms, _directory: directory };
        for node in 0..count {
            fleet.launch(node);
        }
        for node in 0..count {
            fleet.ready(node).await;
        }
        fleet
    }

    /// Starts a node that does not run.
    pub fn launch(&mut self, node: usize) {
        let place = &mut self.places[node];
        let mut command = Process::narrowcast();
        command.env(LAME_DUCK, self.lame_duck_ms.to_string());
        command.args(["serve", "--config"]).arg(&place.config);
        place.served = Some(Served::of(command));
    }

    /// Waits until a node is ready.
    pub async fn ready(&self, node: usize) {
        let operator = &self.served(node).operator;
        eventually("the node is ready", || operator.get("/readyz").0 == 200).await;
    }

    pub fn served(&self, node: usize) -> &Served {
        self.places[node].served.as_ref().expect("it runs")
    }

    /// A node that from now on does not belong to the fleet.
    pub fn take(&mut self, node: usize) -> Served {
        self.places[node].served.take().expect("it runs")
    }

    /// Where clients connect to each node, as `host:port`.
    pub fn addresses(&self) -> Vec<String> {
        self.places.iter().map(|place| place.address.clone()).collect()
    }
}

impl Place {
    /// A place for the node of a number, from 1 on.
    fn new(number: usize, lines: &str, directory: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = directory.join(format!("n{number}.toml"));
        let store = directory.join(format!("n{number}"));
        let text = format!(
            "node.name = \"n{number}\"\nlisten.clients = \"{address}\"\n\
             listen.operator = \"127.0.0.1:0\"\nstore.path = {}\n{lines}",
            toml::Value::from(store.to_str().expect("UTF-8"))
        );
        std::fs::write(&config, text).expect("a file");
        Self { address, config, served: None }
    }
}
