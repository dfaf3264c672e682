//! Nodes, each a process of its own, that share Redis shards and a keyspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::keyspace::Keyspace;
use crate::cluster::watch::world::Nodes;
use crate::harness::{Operator, PROGRAM, Served, eventually_within, free_port};

/// How long a node may take until it is ready: it reads the rows of all others, every 2 s, and
/// counts one that died as alive for 15 s.
pub const READY: Duration = Duration::from_mins(1);

/// For confirmations, on however slow a machine; and a run may leave more behind a cursor than a
/// resume sends by default: what it would name as a gap is not what is judged.
const PATIENT: &str = "[timeouts]\nbucket_subscribe_timeout_ms = 15000\nsubscribe_timeout_ms = 15000\n\
    [repair]\nconversation_messages = 10000\nresume_messages = 100000\n";

pub struct Plant {
    places: Vec<Place>,
    keyspace: Keyspace,
    /// How the node of a configuration is started.
    start: Arc<dyn Fn(&Path) -> Served + Send + Sync>,
    directory: tempfile::TempDir,
}

/// Where a node runs. Its ports are its own for as long as the plant stands, so that devices and
/// operators find it again.
struct Place {
    clients: u16,
    operator: u16,
    config: PathBuf,
    served: Option<Served>,
}

/// How a version of the program starts the node of a configuration.
fn starting(program: PathBuf) -> impl Fn(&Path) -> Served {
    move |config| Served::by(Command::new(&program), config)
}

impl Plant {
    /// A place without nodes, in a keyspace that is made first.
    pub fn new(keyspace: Keyspace) -> Self {
        Self::of(PathBuf::from(PROGRAM), keyspace)
    }

    /// The same for a version of the program.
    pub fn of(program: PathBuf, keyspace: Keyspace) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        keyspace.apply_schema_of(&program, directory.path());
        Self { places: Vec::new(), keyspace, start: Arc::new(starting(program)), directory }
    }

    /// The same, whose nodes are started in another way.
    pub fn started_by(self, start: impl Fn(&Path) -> Served + Send + Sync + 'static) -> Self {
        Self { start: Arc::new(start), ..self }
    }

    /// From here on nodes start in another version, whose schema is applied first.
    pub fn upgrade(&mut self, program: PathBuf) {
        self.keyspace.apply_schema_of(&program, self.directory.path());
        self.go_back(program);
    }

    /// From here on nodes start in another version. The schema stays.
    pub fn go_back(&mut self, program: PathBuf) {
        self.start = Arc::new(starting(program));
    }

    /// What the process of a node runs.
    pub fn program_of(&self, node: usize) -> PathBuf {
        let served = self.places[node].served.as_ref().expect("it runs");
        let program = format!("/proc/{}/exe", served.process.id());
        std::fs::read_link(program).expect("it runs")
    }

    /// So many nodes of one configuration, all ready.
    pub async fn start(nodes: usize, keyspace: Keyspace, layouts: &str) -> Self {
        let mut plant = Self::new(keyspace);
        for _ in 0..nodes {
            plant.add(layouts).await;
        }
        plant.all_ready().await;
        plant
    }

    /// Starts one more node: its place. It need not be ready.
    pub async fn add(&mut self, layouts: &str) -> usize {
        let node = self.places.len();
        let config = self.directory.path().join(format!("n{}.toml", node + 1));
        let (clients, operator) = (free_port(), free_port());
        self.places.push(Place { clients, operator, config, served: None });
        self.launch(node, layouts).await;
        node
    }

    /// Starts the node of a place where none runs. `{node}` in the text is its number, from 1 on.
    pub async fn launch(&mut self, node: usize, layouts: &str) {
        let keyspace = self.keyspace.table();
        let layouts = layouts.replace("{node}", &(node + 1).to_string());
        let place = &mut self.places[node];
        let text = format!(
            "[node]\nname = \"n{}\"\n\
             [listen]\nclients = \"127.0.0.1:{}\"\noperator = \"127.0.0.1:{}\"\n\
             {layouts}{keyspace}{PATIENT}",
            node + 1,
            place.clients,
            place.operator,
        );
        std::fs::write(&place.config, text).expect("a file");
        let (config, start) = (place.config.clone(), Arc::clone(&self.start));
        place.served = Some(aside(move || start(&config)).await);
    }

    pub const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    pub fn url(&self, node: usize) -> String {
        format!("ws://127.0.0.1:{}/v1/ws", self.places[node].clients)
    }

    pub fn operator(&self, node: usize) -> Operator {
        Operator::new(&format!("http://127.0.0.1:{}", self.places[node].operator))
    }

    pub async fn ready(&self, node: usize) {
        let operator = self.operator(node);
        let mut last = None;
        let ready = || {
            let told = operator.readiness();
            let ready = told.1 == "ready";
            if last.as_ref() != Some(&told) {
                println!("n{}: {told:?}", node + 1);
                last = Some(told);
            }
            ready
        };
        eventually_within(READY, &format!("n{} is ready", node + 1), ready).await;
    }

    /// Those that run are ready.
    pub async fn all_ready(&self) {
        for node in 0..self.places.len() {
            if self.places[node].served.is_some() {
                self.ready(node).await;
            }
        }
    }

    /// Kills a node without a goodbye.
    pub fn kill(&mut self, node: usize) {
        let mut served = self.places[node].served.take().expect("it runs");
        let errors = served.process.finish();
        assert!(!errors.contains("panicked"), "{errors}");
    }

    /// Ends a node as an operator would.
    pub async fn leave(&mut self, node: usize) {
        let served = self.places[node].served.take().expect("it runs");
        served.process.signal("TERM");
        aside(move || ended_well(served)).await;
    }

    /// Restarts a node with another configuration, and waits until it is ready.
    pub async fn restart(&mut self, node: usize, layouts: &str) {
        self.leave(node).await;
        self.launch(node, layouts).await;
        self.ready(node).await;
    }

    /// Whether every node that was started and not ended still runs.
    pub fn is_whole(&mut self) -> bool {
        let served = self.places.iter_mut().filter_map(|place| place.served.as_mut());
        served.into_iter().all(|served| served.process.is_running())
    }

    /// Ends all nodes; they must end well.
    pub fn end_all(&mut self) {
        let running = |place: &&Place| place.served.is_some();
        for place in self.places.iter().filter(running) {
            place.served.as_ref().expect("it runs").process.signal("TERM");
        }
        self.places.iter_mut().filter_map(|place| place.served.take()).for_each(ended_well);
    }
}

fn ended_well(mut served: Served) {
    let (code, errors) = served.process.wait();
    assert_eq!(code, Some(0), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// Waits for a process on a thread of its own, so that whoever talks meanwhile goes on.
pub async fn aside<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.expect("it does not panic")
}

impl Nodes for Plant {
    fn urls(&self) -> Vec<String> {
        (0..self.places.len()).map(|node| self.url(node)).collect()
    }

    fn operators(&self) -> Vec<Operator> {
        (0..self.places.len()).map(|node| self.operator(node)).collect()
    }

    fn signal(&self, node: usize, name: &str) {
        self.places[node].served.as_ref().expect("it runs").process.signal(name);
    }

    fn end(mut self: Box<Self>) {
        self.end_all();
    }
}
