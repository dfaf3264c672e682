//! `bench storm`: a node ends, and all its sessions come back at once.

mod clients;
mod counts;
mod judge;
mod keyspace;
mod log;
mod nodes;
mod report;
mod run;
mod served;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::nodes::RunningNode;

pub use report::{
    BystanderReport, Comeback, GeneratorReport, NodesReport, SendsReport, StormReport, StormSize,
};

/// What ends the first node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StormFault {
    /// SIGKILL.
    Kill,
    /// SIGTERM: a lame duck and a drain, as configured.
    Drain,
}

impl fmt::Display for StormFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Drain => "drain",
        })
    }
}

/// Where the sessions are.
#[derive(Debug, Clone)]
pub enum StormPlace {
    /// Own nodes, each in a process, on a keyspace of their own that is dropped at the end.
    Cql {
        /// How many.
        nodes: u32,
        /// A CQL server, as `host:port`.
        cql: String,
        /// The Redis shards.
        redis: Vec<String>,
    },
    /// One own node on an embedded store, which is started again where it was.
    Restart,
    /// Nodes that others run.
    Running {
        /// The nodes; the first is struck.
        nodes: Vec<RunningNode>,
        /// The process of the first.
        pid: u32,
    },
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Where the sessions are.
    pub place: StormPlace,
    /// What ends the first node.
    pub fault: StormFault,
    /// Sessions, each of another user, on all nodes in turn.
    pub sessions: u32,
    /// Messages a second to the sessions of the struck node, and as many between the bystanders.
    pub rate: u32,
    /// How long the load runs before the fault, and after all sessions are back.
    pub quiet: Duration,
    /// How long the sessions may take to come back.
    pub within: Duration,
    /// How long the last answers and deliveries may take. Nodes count a dead one as alive for 15 s.
    pub settle: Duration,
    /// The most that the generator may be late, at the 99th percentile.
    pub lag: Duration,
}
