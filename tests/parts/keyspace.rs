//! A keyspace of a test's own, on a CQL server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use narrowcast::config::Config;
use narrowcast::node::open_store;
use narrowcast::store::Store;
use scylla::client::session_builder::SessionBuilder;

use crate::harness::{PROGRAM, Process};

/// The variable that says where the tests' server is, `host:port`.
const ADDRESS: &str = "NARROWCAST_TEST_CQL";

/// A keyspace that nobody else uses. It stays when the test ends: a server of tests is thrown
/// away as a whole.
#[derive(Clone)]
pub struct Keyspace {
    /// The servers, which all have everything.
    nodes: Vec<String>,
    name: String,
    /// How long messages are kept; 0 is for ever.
    days: u32,
}

impl Keyspace {
    /// On the server that all tests share.
    pub fn on_the_shared_server() -> Self {
        let address = std::env::var(ADDRESS).unwrap_or_else(|_| {
            panic!("{ADDRESS} (host:port) does not say where a CQL server is: `scripts/test` starts one")
        });
        Self::on(vec![address])
    }

    /// On servers that are one store: each is a replica of everything.
    pub fn on(nodes: Vec<String>) -> Self {
        let name = format!("parts_{:016x}", rand::random::<u64>());
        Self { nodes, name, days: 0 }
    }

    /// The same, where messages are kept for so many days.
    pub fn keeping(self, days: u32) -> Self {
        Self { days, ..self }
    }

    /// The configuration of a store in it.
    pub fn table(&self) -> String {
        let Self { nodes, name, days } = self;
        let replicas = nodes.len();
        format!(
            "[store]\nbackend = \"cql\"\nnodes = {nodes:?}\nkeyspace = {name:?}\n\
             replication = {replicas}\nretention_days = {days}\n"
        )
    }

    /// In how many seconds the server will have forgotten each message that is there.
    pub async fn seconds_left(&self) -> Vec<Option<i32>> {
        let session = SessionBuilder::new().known_nodes(&self.nodes).build().await;
        let session = session.expect("the server is there");
        let select = format!("SELECT TTL(body) FROM {}.messages LIMIT 100", self.name);
        let answer = session.query_unpaged(select, ()).await.expect("it answers");
        let rows = answer.into_rows_result().expect("rows");
        let rows = rows.rows::<(Option<i32>,)>().expect("numbers");
        rows.map(|row| row.expect("a number").0).collect()
    }

    /// The store itself, as a node opens it, where messages are kept for so long.
    pub fn open(&self, retention: Duration) -> Arc<dyn Store> {
        let config = Config::load(Some(&self.table()), std::iter::empty());
        let mut config = config.expect("a configuration");
        config.store.cql.retention = Some(retention);
        open_store(&config, Path::new("")).expect("its schema was applied")
    }

    /// Makes it, by the command that operators use.
    pub fn apply_schema(&self, directory: &Path) {
        self.apply_schema_of(Path::new(PROGRAM), directory);
    }

    /// Makes it, or adds to it, as a version of the program does.
    pub fn apply_schema_of(&self, program: &Path, directory: &Path) {
        let config = directory.join("schema.toml");
        std::fs::write(&config, self.table()).expect("a file");
        let mut command = Command::new(program);
        let applied = Process::run(command.args(["schema", "apply", "--config"]).arg(&config));
        assert_eq!(applied.code, Some(0), "{}{}", applied.output, applied.errors);
    }
}
