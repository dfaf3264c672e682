//! How a node stands among the others.

use std::fmt;

use parking_lot::Mutex;

use crate::layout::Layout;

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
        }
    }
}

/// How a node stands, for those who ask.
#[derive(Debug)]
pub struct Standing {
    state: Mutex<(bool, Vec<Trouble>)>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { state: Mutex::new((false, vec![Trouble::NotInRoster])) }
    }
}

impl Standing {
    pub(super) fn note(&self, serving: bool, troubles: Vec<Trouble>) {
        let mut state = self.state.lock();
        if state.1 != troubles {
            for trouble in troubles.iter().filter(|trouble| !state.1.contains(trouble)) {
                tracing::warn!(%trouble, "the node is not well off");
            }
        }
        *state = (serving, troubles);
    }

    /// Whether the node was let in, and what speaks against it.
    pub fn look(&self) -> (bool, Vec<Trouble>) {
        self.state.lock().clone()
    }
}
