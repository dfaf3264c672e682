//! `schema`: the tables of a CQL store.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::output::{print_line, print_text};
use super::{CliFailure, block_on, settings};
use crate::config::{Config, StoreBackend};
use crate::node::{apply_schema, check_schema, print_schema};
use crate::store::ServerKind;

/// The tables of a CQL store.
#[derive(Debug, Subcommand)]
pub(super) enum Schema {
    /// Prints the tables as CQL, without asking any server.
    Print(Print),
    /// Makes what is missing; may run again, and in several places at once.
    Apply(File),
    /// Reports everything that differs.
    Check(File),
}

/// Prints the tables as CQL, without asking any server.
#[derive(Debug, Args)]
pub(super) struct Print {
    #[command(flatten)]
    file: File,
    /// The kind of the servers: it decides how the tables are compacted.
    #[arg(long, default_value = "scylla")]
    server: Server,
}

#[derive(Debug, Args)]
pub(super) struct File {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Server {
    Scylla,
    Cassandra,
}

impl Schema {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        match self {
            Self::Print(Print { file, server }) => {
                let kind = match server {
                    Server::Scylla => ServerKind::Scylla,
                    Server::Cassandra => ServerKind::Cassandra,
                };
                print_text(&print_schema(&settings::load(file.config.as_deref())?, kind))
            }
            Self::Apply(file) => apply(&file.of_cql()?),
            Self::Check(file) => check(&file.of_cql()?),
        }
    }
}

impl File {
    /// Reads the configuration of a CQL store.
    fn of_cql(&self) -> Result<Config, CliFailure> {
        let config = settings::load(self.config.as_deref())?;
        settings::begin_log(&config)?;
        match config.store.backend {
            StoreBackend::Cql => Ok(config),
            StoreBackend::Embedded => Err(CliFailure::Usage(
                "store.backend = \"embedded\": it must be \"cql\", since no other store has a \
                 schema"
                    .into(),
            )),
        }
    }
}

fn apply(config: &Config) -> Result<(), CliFailure> {
    let applied = block_on(async { apply_schema(config).await.map_err(CliFailure::failed) })?;
    let keyspace = &config.store.cql.keyspace;
    let [made, altered] = [applied.made, applied.altered].map(|tables| match tables.len() {
        0 => "none".to_owned(),
        _ => tables.join(", "),
    });
    print_line(format_args!(
        "keyspace {keyspace} is as it should be; made: {made}; altered: {altered}"
    ))
}

fn check(config: &Config) -> Result<(), CliFailure> {
    let differences = block_on(async { check_schema(config).await.map_err(CliFailure::failed) })?;
    let keyspace = &config.store.cql.keyspace;
    if differences.is_empty() {
        return print_line(format_args!("keyspace {keyspace} is as it should be"));
    }
    for difference in &differences {
        print_line(difference)?;
    }
    Err(CliFailure::Failed(format!(
        "keyspace {keyspace} differs; `narrowcast schema apply` makes what is missing"
    )))
}
