//! The live nodes as the cluster table showed them last, for operators.

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::cluster::{Heartbeat, NodeInfo, NodeReport};
use crate::domain::Micros;

/// One live node.
#[derive(Debug, Clone)]
pub struct LiveNode {
    /// What its newest heartbeat states.
    pub about: Arc<NodeInfo>,
    /// When that was written, by the node's own clock.
    pub written: Micros,
}

/// The nodes that one read of the cluster table showed.
#[derive(Debug, Clone, Default)]
pub struct LiveNodes {
    /// When the read returned; none before the first.
    pub as_of: Option<Micros>,
    /// The nodes, by name and start.
    pub nodes: Vec<LiveNode>,
}

/// What nodes tell the operators of all: this one's report, and what the others reported. It has at
/// most as many nodes as the cluster table has rows.
pub struct ClusterTable {
    report: Box<dyn Fn() -> NodeReport + Send + Sync>,
    live: Mutex<LiveNodes>,
}

impl fmt::Debug for ClusterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterTable").field("live", &self.live).finish_non_exhaustive()
    }
}

impl ClusterTable {
    /// Begins with no node. `report` returns what this node reports of itself now.
    pub fn new(report: impl Fn() -> NodeReport + Send + Sync + 'static) -> Self {
        Self { report: Box::new(report), live: Mutex::default() }
    }

    /// Returns what this node reports now.
    pub(super) fn report(&self) -> NodeReport {
        (self.report)().bounded()
    }

    /// Replaces what is known by what a read showed. A node with several heartbeats, one of each
    /// incarnation, is shown by its newest.
    pub(super) fn replace<'a>(&self, rows: impl Iterator<Item = &'a Heartbeat>, now: Micros) {
        let mut newest: AHashMap<[u8; 16], LiveNode> = AHashMap::new();
        for row in rows {
            let node = LiveNode { about: Arc::clone(&row.about), written: row.written };
            let known = newest.entry(row.about.boot).or_insert_with(|| node.clone());
            if known.written < node.written {
                *known = node;
            }
        }
        let mut nodes: Vec<LiveNode> = newest.into_values().collect();
        nodes.sort_by(|one, other| order(one).cmp(&order(other)));
        *self.live.lock() = LiveNodes { as_of: Some(now), nodes };
    }

    /// Returns the live nodes of the last read that succeeded.
    pub fn live(&self) -> LiveNodes {
        self.live.lock().clone()
    }
}

/// What nodes are listed by.
fn order(node: &LiveNode) -> (&str, Micros, [u8; 16]) {
    (&node.about.node, node.about.started, node.about.boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample::{about, row};

    #[test]
    fn a_node_of_two_incarnations_is_one_and_a_read_replaces_all() {
        let table = ClusterTable::new(NodeReport::default);
        assert_eq!(table.live().as_of, None);
        let other =
            Heartbeat { about: Arc::new(NodeInfo { boot: [8; 16], ..about("a") }), ..row(3, 1) };
        table.replace([row(1, 5), row(2, 9), other].iter(), Micros(20));
        let LiveNodes { as_of, nodes } = table.live();
        let shown: Vec<_> =
            nodes.iter().map(|node| (node.about.node.as_str(), node.written)).collect();
        assert_eq!((as_of, shown), (Some(Micros(20)), vec![("a", Micros(1)), ("n1", Micros(9))]));
        table.replace([].iter(), Micros(21));
        assert!(table.live().nodes.is_empty());
    }
}
