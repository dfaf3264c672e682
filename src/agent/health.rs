//! The health of a node among the others.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::bus::BootId;
use crate::clock::Readable;
use crate::layout::Layout;

/// How old the last read of the cluster table may be; one is begun every 2 s.
pub const UNREAD: Duration = Duration::from_secs(5);

/// A health issue of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthIssue {
    /// Its own heartbeat was not read back yet.
    NotReadBack,
    /// It does not subscribe to the layout that an older node publishes by.
    Deaf {
        /// The older node.
        node: String,
        /// The layout that it publishes by.
        layout: Layout,
    },
    /// An older node does not subscribe to the layout that it would publish by.
    Unheard {
        /// The older node.
        node: String,
        /// The layout that this node publishes by.
        layout: Layout,
    },
    /// It has lost a shard that others reach.
    CutOff {
        /// Its name.
        shard: String,
    },
    /// The cluster table was not read for `UNREAD`.
    Unread,
    /// It publishes to another server than another node, for one shard.
    Elsewhere {
        /// The shard's name.
        shard: String,
        /// The other node.
        node: String,
    },
    /// Another live node has its name.
    SameName {
        /// The name.
        name: String,
        /// Where clients connect to this node.
        here: String,
        /// Where they connect to the other one.
        there: String,
        /// The other node's boot, since two nodes may have one address too, of their own networks.
        boot: BootId,
    },
    /// Nodes of another store publish in its namespace on its shards.
    Foreign,
    /// None of its heartbeats is acknowledged: it has no lease, and sends are refused.
    NoLease,
}

impl fmt::Display for HealthIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReadBack => f.write_str(
                "store: this node's own heartbeat was not read back \
                yet",
            ),
            Self::Deaf { node, layout } => write!(
                f,
                "routing.subscribe: node {node} publishes by {layout}, which is not among this \
                 node's layouts"
            ),
            Self::Unheard { node, layout } => write!(
                f,
                "routing.publish: node {node} does not subscribe to {layout}, by which this node \
                 would publish"
            ),
            Self::CutOff { shard } => {
                write!(f, "shard {shard}: this node cannot reach it, and other nodes can")
            }
            Self::Elsewhere { shard, node } => write!(
                f,
                "shard {shard}: node {node} and this node publish to different servers, so no \
                 cursor moves: check the url in layouts.*.redis of both"
            ),
            Self::SameName { name, here, there, boot } => write!(
                f,
                "node.name: two nodes are called {name}, this one at {here} and one at {there} \
                 (boot {boot}); both work, but give each a name of its own"
            ),
            Self::Unread => {
                write!(f, "store: the cluster table was not read for over {} s", UNREAD.as_secs())
            }
            Self::Foreign => f.write_str(
                "namespace: nodes of another store publish under the same name on a shard of this \
                 node; nothing of theirs is delivered, but give one of the two another `namespace`",
            ),
            Self::NoLease => f.write_str(
                "store: no heartbeat of this node is acknowledged, so it has no lease: sends are \
                 refused",
            ),
        }
    }
}

/// A node's health, for others to read.
#[derive(Debug)]
pub struct NodeHealth {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    serving: bool,
    /// The issues among the other nodes.
    told: Vec<KnownIssue>,
    /// The issues with the store that holds the cluster table.
    kept: Vec<KnownIssue>,
}

#[derive(Debug)]
struct KnownIssue {
    issue: HealthIssue,
    since: Instant,
}

impl KnownIssue {
    fn new(issue: HealthIssue) -> Self {
        Self { issue, since: Instant::now() }
    }
}

impl Default for NodeHealth {
    fn default() -> Self {
        let (told, kept) = (vec![KnownIssue::new(HealthIssue::NotReadBack)], Vec::new());
        Self { state: Mutex::new(State { serving: false, told, kept }) }
    }
}

impl NodeHealth {
    /// Records what a read of the cluster table showed.
    pub(super) fn note(&self, serving: bool, troubles: Vec<HealthIssue>) {
        let mut state = self.state.lock();
        state.serving = serving;
        replace(&mut state.told, troubles);
    }

    /// Records how the node's own reads and heartbeats go.
    pub(super) fn keep(&self, troubles: Vec<HealthIssue>) {
        replace(&mut self.state.lock().kept, troubles);
    }

    /// Returns whether the node was admitted, and its health issues.
    pub fn look(&self) -> (bool, Vec<HealthIssue>) {
        let state = self.state.lock();
        let known = state.told.iter().chain(&state.kept);
        (state.serving, known.map(|known| known.issue.clone()).collect())
    }
}

/// Replaces the known issues. Logs those that are new and those that are over.
fn replace(known: &mut Vec<KnownIssue>, found: Vec<HealthIssue>) {
    for issue in found.iter().filter(|issue| !known.iter().any(|it| it.issue == **issue)) {
        tracing::warn!("{issue}");
    }
    known.retain(|it| {
        let lasts = found.contains(&it.issue);
        // A node that starts has read nothing yet, which is no issue that would have been logged.
        if !lasts && it.issue != HealthIssue::NotReadBack {
            tracing::info!("over after {}: {}", Readable(it.since.elapsed()), it.issue);
        }
        lasts
    });
    for issue in found {
        if !known.iter().any(|it| it.issue == issue) {
            known.push(KnownIssue::new(issue));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_table_says_and_what_the_store_does_are_told_together() {
        let standing = NodeHealth::default();
        assert_eq!(standing.look(), (false, vec![HealthIssue::NotReadBack]));
        standing.keep(vec![HealthIssue::Unread]);
        assert_eq!(standing.look(), (false, vec![HealthIssue::NotReadBack, HealthIssue::Unread]));
        standing.note(true, Vec::new());
        assert_eq!(standing.look(), (true, vec![HealthIssue::Unread]), "the store's issue stays");
        standing.keep(vec![HealthIssue::NoLease]);
        assert_eq!(standing.look(), (true, vec![HealthIssue::NoLease]));
        standing.keep(Vec::new());
        assert_eq!(standing.look(), (true, Vec::new()));
    }
}
