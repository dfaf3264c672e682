//! How a node stands among the others.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

use crate::layout::Layout;

/// How old the last read of the roster may be, one being begun every 2 s.
pub const UNREAD: Duration = Duration::from_secs(5);

/// What speaks against a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its own row was not read back yet.
    NotInRoster,
    /// It does not hear what an older node publishes.
    Deaf {
        /// The older node.
        node: String,
        /// The layout that it publishes by.
        layout: Layout,
    },
    /// An older node does not hear what it would publish.
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
    /// The roster was not read for `UNREAD`.
    Unread,
    /// It publishes to another server than another node, by the name of one shard.
    Elsewhere {
        /// The shard's name.
        shard: String,
        /// The other node.
        node: String,
    },
    /// Nodes of another store publish in its namespace on its shards.
    Foreign,
    /// No row of its own is acknowledged any more, or none is yet: it has no lease, and sends are
    /// refused.
    NoLease,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInRoster => f.write_str("roster: this node's row was not read back yet"),
            Self::Deaf { node, layout } => write!(
                f,
                "layout.subscribe: node {node} publishes by {layout}, which is not among this \
                 node's layouts"
            ),
            Self::Unheard { node, layout } => write!(
                f,
                "layout.publish: node {node} does not subscribe {layout}, by which this node \
                 would publish"
            ),
            Self::CutOff { shard } => {
                write!(f, "shard {shard}: out of reach for this node, and not for others")
            }
            Self::Elsewhere { shard, node } => write!(
                f,
                "shard {shard}: node {node} and this node publish to different servers, so no cursor \
                 moves: is the url right in layouts.*.redis of both?"
            ),
            Self::Unread => {
                write!(f, "store: the roster was not read for over {} s", UNREAD.as_secs())
            }
            Self::Foreign => f.write_str(
                "namespace: nodes of another store publish under the same name on a shard of this \
                 node; nothing of theirs is taken, but give one of the two another `namespace`",
            ),
            Self::NoLease => f.write_str(
                "store: no row of this node is acknowledged, so it has no lease: sends are refused",
            ),
        }
    }
}

/// How a node stands, for those who ask.
#[derive(Debug)]
pub struct Standing {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    serving: bool,
    /// What the roster says against the node.
    told: Vec<Trouble>,
    /// What it has with the store that the roster is in.
    kept: Vec<Trouble>,
}

impl Default for Standing {
    fn default() -> Self {
        let (told, kept) = (vec![Trouble::NotInRoster], Vec::new());
        Self { state: Mutex::new(State { serving: false, told, kept }) }
    }
}

impl Standing {
    /// A read of the roster was judged.
    pub(super) fn note(&self, serving: bool, troubles: Vec<Trouble>) {
        let mut state = self.state.lock();
        state.serving = serving;
        replace(&mut state.told, troubles);
    }

    /// How reads and rows of the node itself come along.
    pub(super) fn keep(&self, troubles: Vec<Trouble>) {
        replace(&mut self.state.lock().kept, troubles);
    }

    /// Whether the node was let in, and what speaks against it.
    pub fn look(&self) -> (bool, Vec<Trouble>) {
        let state = self.state.lock();
        (state.serving, state.told.iter().chain(&state.kept).cloned().collect())
    }
}

/// The new ones are logged.
fn replace(known: &mut Vec<Trouble>, troubles: Vec<Trouble>) {
    for trouble in troubles.iter().filter(|trouble| !known.contains(trouble)) {
        tracing::warn!(%trouble, "the node is not well off");
    }
    *known = troubles;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_roster_says_and_what_the_store_does_are_told_together() {
        let standing = Standing::default();
        assert_eq!(standing.look(), (false, vec![Trouble::NotInRoster]));
        standing.keep(vec![Trouble::Unread]);
        assert_eq!(standing.look(), (false, vec![Trouble::NotInRoster, Trouble::Unread]));
        standing.note(true, Vec::new());
        assert_eq!(standing.look(), (true, vec![Trouble::Unread]), "each says its own");
        standing.keep(vec![Trouble::NoLease]);
        assert_eq!(standing.look(), (true, vec![Trouble::NoLease]));
        standing.keep(Vec::new());
        assert_eq!(standing.look(), (true, Vec::new()));
    }
}
