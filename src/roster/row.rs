//! A row of the roster: what one incarnation says of itself.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::Window;
use crate::domain::Micros;
use crate::layout::Layout;

/// A node's identity in the proof, random: a boot has a fresh one after each fence. Rows are keyed
/// by it and never by the node's name, so that an old row cannot pass for a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

impl Incarnation {
    /// A fresh one.
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

/// One start of a Redis server, as rows carry it: the xxh3 of the run id that the server tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run(pub u64);

impl Run {
    /// The run of a server's run id.
    pub fn of(run_id: &str) -> Self {
        Self(xxh3_64(run_id.as_bytes()))
    }
}

/// A shard as rows carry it: the xxh3 of its name. A shard is its name; its URL is each node's own
/// affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardTag(pub u64);

impl ShardTag {
    /// The tag of a shard's name.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// What an incarnation says of its publisher links to one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRow {
    /// Which shard.
    pub shard: ShardTag,
    /// The runs that its workers publish to, each once. A worker whose link was down for long adds
    /// none, which matches anything.
    pub runs: SmallVec<[Run; 1]>,
    /// How often a link came back to another run, or was down for long; all workers together.
    pub epoch: u64,
    /// How often messages were given up on; all workers together.
    pub gap_no: u64,
}

/// Which part a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does not know yet that it hears all others and is heard by them: it takes no sessions and
    /// issues no ids.
    Starting,
    /// It takes sessions.
    Serving,
    /// It is being stopped.
    Draining,
}

/// What a row says beside the proof's numbers; the same object until something in it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The node's name.
    pub node: String,
    /// This start of the node.
    pub boot: [u8; 16],
    /// When it started, by its own clock: of two that start at once the older one decides.
    pub started: Micros,
    /// Where clients connect.
    pub address: String,
    /// Which part it plays.
    pub state: State,
    /// The layout that it publishes by.
    pub publish: Layout,
    /// The layouts that it hears, that one included.
    pub subscribe: Vec<Layout>,
    /// Whether a session here holds a wide pattern.
    pub tap: bool,
    /// Whether it copies events to taps.
    pub copies: bool,
    /// What its envelopes are like.
    pub envelopes: EnvelopeForm,
}

/// What the envelopes of a node are like. Who is of another form cannot be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnvelopeForm {
    /// The version.
    pub version: u8,
    /// Which key their tags are made with.
    pub key: u32,
}

/// One incarnation's row: a snapshot of one instant, written whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub incarnation: Incarnation,
    /// Which write this is. It is the row's write timestamp too, so no clock decides which row wins.
    pub counter: u64,
    /// When the write began, by the writer's time.
    pub written: Micros,
    /// Every id up to here is decided, and its publishes are confirmed or given up on.
    pub settled: Micros,
    /// Every id up to here is stored, or was answered `outcome_unknown`.
    pub decided: Micros,
    /// Whether it is the last row: nothing is issued any more, and everything is settled.
    pub left: bool,
    /// A shard each.
    pub shards: SmallVec<[ShardRow; 2]>,
    /// When sends of its boot were answered `outcome_unknown` lately.
    pub unknown: Vec<Window>,
    /// Everything else.
    pub about: Arc<About>,
}

/// What one worker says of itself, taken at one instant of it. It issues nothing at or below the
/// two numbers afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Every id of this worker up to here is settled.
    pub settled: Micros,
    /// Every id of this worker up to here is decided.
    pub decided: Micros,
    /// Its links, in the order of the node's shards.
    pub links: SmallVec<[LinkSnapshot; 2]>,
}

/// What one worker says of its link to one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkSnapshot {
    /// The run that it publishes to; none if it was down for long.
    pub run: Option<Run>,
    /// How often the link came back to another run, or was down for long.
    pub epoch: u64,
    /// How often messages were given up on.
    pub gap_no: u64,
}

impl Row {
    /// The row of all workers together: the least of their numbers, the sums of their counts, the
    /// set of their runs.
    ///
    /// # Panics
    /// If there is no worker.
    pub fn gather(
        incarnation: Incarnation,
        (counter, written): (u64, Micros),
        shards: &[ShardTag],
        workers: &[Snapshot],
        about: Arc<About>,
    ) -> Self {
        let least = |number: fn(&Snapshot) -> Micros| {
            workers.iter().map(number).min().expect("a node has a worker")
        };
        let shards = shards.iter().enumerate().map(|(index, shard)| {
            let links = || workers.iter().filter_map(move |worker| worker.links.get(index));
            let mut runs: SmallVec<[Run; 1]> = links().filter_map(|link| link.run).collect();
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
