//! A heartbeat, a row of the cluster table: what one incarnation states of itself.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::{NodeReport, UnknownWindow};
use crate::domain::Micros;
use crate::layout::Layout;

/// A node's identity for the watermark, random: a boot has a fresh one after each fence. Heartbeats
/// are keyed by it and never by the node's name, so that an old one cannot pass for a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

impl Incarnation {
    /// Returns a fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One start of a Redis server, as heartbeats carry it: the xxh3 of the run id that the server
/// reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerRun(pub u64);

impl ServerRun {
    /// Returns the run of a server's run id.
    pub fn of(run_id: &str) -> Self {
        Self(xxh3_64(run_id.as_bytes()))
    }
}

/// A shard as heartbeats carry it: the xxh3 of its name. A shard is its name; its URL is a setting
/// of each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardTag(pub u64);

impl ShardTag {
    /// Returns the tag of a shard's name.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// What an incarnation states of its publisher connections to one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRow {
    /// The shard.
    pub shard: ShardTag,
    /// The runs that its workers publish to, each once. A worker whose connection was down for long
    /// adds none, which matches anything.
    pub runs: SmallVec<[ServerRun; 1]>,
    /// How often a connection came back to another run, or was down for long; the sum over all
    /// workers.
    pub epoch: u64,
    /// How often messages were given up on; the sum over all workers.
    pub gap_no: u64,
}

/// The phase of a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It does not know yet that it receives from all others and they from it. It takes no sessions
    /// and issues no ids.
    Starting,
    /// It takes sessions.
    Serving,
    /// It is being stopped.
    Draining,
}

/// What a heartbeat carries beside the watermark's numbers. It is the same object until something
/// in it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node's name.
    pub node: String,
    /// This start of the node.
    pub boot: [u8; 16],
    /// When it started, by its own clock. Of two that start at once the older one decides.
    pub started: Micros,
    /// Where clients connect.
    pub address: String,
    /// The phase of its life.
    pub state: NodeState,
    /// The layout that it publishes by.
    pub publish: Layout,
    /// The layouts that it subscribes to, that one included.
    pub subscribe: Vec<Layout>,
    /// Whether a session here holds a wide pattern.
    pub tap: bool,
    /// Whether it copies events to the wildcard channel `tap`.
    pub copies: bool,
    /// The form of its envelopes.
    pub envelopes: EnvelopeForm,
    /// What it reports of itself to operators.
    pub report: NodeReport,
}

/// The form of a node's envelopes. A node with another form cannot be received from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnvelopeForm {
    /// The version.
    pub version: u8,
    /// The id of the key of their tags.
    pub key: u32,
}

/// The heartbeat of one incarnation: a snapshot of one instant, written whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// The number of this write. It is the row's write timestamp too, so no clock decides which row
    /// wins.
    pub counter: u64,
    /// When the write began, by the writer's time.
    pub written: Micros,
    /// Every id up to here is decided, and its publishes are confirmed or given up on.
    pub settled: Micros,
    /// Every id up to here is stored, or was answered `outcome_unknown`.
    pub decided: Micros,
    /// Whether it is the last heartbeat: nothing is issued any more, and everything is settled.
    pub left: bool,
    /// One entry per shard.
    pub shards: SmallVec<[ShardRow; 2]>,
    /// When sends of its boot were answered `outcome_unknown` lately.
    pub unknown: Vec<UnknownWindow>,
    /// Everything else.
    pub about: Arc<NodeInfo>,
}

/// What one worker reports of itself, taken at one instant. It issues nothing at or below the two
/// numbers afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerProgress {
    /// Every id of this worker up to here is settled.
    pub settled: Micros,
    /// Every id of this worker up to here is decided.
    pub decided: Micros,
    /// Its shard connections, in the order of the node's shards.
    pub links: SmallVec<[LinkSnapshot; 2]>,
}

/// What one worker reports of its connection to one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkSnapshot {
    /// The run that it publishes to; none if it was down for long.
    pub run: Option<ServerRun>,
    /// How often the connection came back to another run, or was down for long.
    pub epoch: u64,
    /// How often messages were given up on.
    pub gap_no: u64,
}

impl Heartbeat {
    /// Returns the heartbeat of all workers together: the least of their numbers, the sums of their
    /// counts, the set of their runs.
    ///
    /// # Panics
    /// If there is no worker.
    pub fn gather(
        incarnation: Incarnation,
        (counter, written): (u64, Micros),
        shards: &[ShardTag],
        workers: &[WorkerProgress],
        about: Arc<NodeInfo>,
    ) -> Self {
        let least = |number: fn(&WorkerProgress) -> Micros| {
            workers.iter().map(number).min().expect("a node has a worker")
        };
        let shards = shards.iter().enumerate().map(|(index, shard)| {
            let links = || workers.iter().filter_map(move |worker| worker.links.get(index));
            let mut runs: SmallVec<[ServerRun; 1]> = links().filter_map(|link| link.run).collect();
            runs.sort_unstable();
            runs.dedup();
            let epoch = links().map(|link| link.epoch).sum();
            ShardRow { shard: *shard, runs, epoch, gap_no: links().map(|link| link.gap_no).sum() }
        });
        Self {
            incarnation,
            counter,
            written,
            settled: least(|worker| worker.settled),
            decided: least(|worker| worker.decided),
            left: false,
            shards: shards.collect(),
            unknown: Vec::new(),
            about,
        }
    }
}
