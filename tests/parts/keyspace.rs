//! A keyspace of a test's own, on a CQL server.

use std::path::Path;

use scylla::client::session_builder::SessionBuilder;

use crate::harness::Process;

/// The variable that says where the tests' server is, `host:port`.
const ADDRESS: &str = "NARROWCAST_TEST_CQL";

/// A keyspace that nobody else uses. It stays when the test ends: a server of tests is thrown
/// away as a whole.
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

    /// What is written to a table from now on expires so soon: for those who cannot wait a day.
    pub async fn expire_within(&self, table: &str, seconds: u32) {
        let session = SessionBuilder::new().known_nodes(&self.nodes).build().await;
        let session = session.expect("the server is there");
        let name = &self.name;
        let alter = format!("ALTER TABLE {name}.{table} WITH default_time_to_live = {seconds}");
        session.query_unpaged(alter, ()).await.expect("it alters a table");
    }

    /// Makes it, by the command that operators use.
    pub fn apply_schema(&self, directory: &Path) {
        let config = directory.join("schema.toml");
        std::fs::write(&config, self.table()).expect("a file");
        let mut command = Process::narrowcast();
        let applied = Process::run(command.args(["schema", "apply", "--config"]).arg(&config));
        assert_eq!(applied.code, Some(0), "{}{}", applied.output, applied.errors);
    }
}
