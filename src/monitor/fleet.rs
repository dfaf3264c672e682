//! All nodes that are watched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::cluster_answer::NodeView;
use super::figures::NodeFigures;
use super::node_history::{NodeHistory, NodeRow, NodeTrouble};
use super::node_sample::NodeSample;
use super::operator_url::{MonitorError, OperatorUrl};

/// All nodes that are watched, each by its place in the list of URLs.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<NodeHistory>,
}

impl Fleet {
    /// Watches these.
    pub fn new(urls: &[OperatorUrl]) -> Self {
        Self { nodes: urls.iter().cloned().map(NodeHistory::new).collect() }
    }

    /// Notes a read of one node that ended at `at`. Fails if the first answer of an address is not
    /// that of an operator's listener.
    pub fn note(
        &mut self,
        place: usize,
        at: Instant,
        read: Result<NodeSample, MonitorError>,
    ) -> Result<(), MonitorError> {
        let node = &mut self.nodes[place];
        match read {
            Ok(sample) => node.note(sample),
            Err(error @ MonitorError::Stranger { .. }) if !node.is_known() => return Err(error),
            Err(error) => node.note_absence(at, error.cause()),
        }
        Ok(())
    }

    /// Returns a row for each node. One that has two addresses counts once.
    pub fn rows(&self, now: Instant) -> Vec<NodeRow> {
        let mut rows: Vec<NodeRow> = self.nodes.iter().map(|node| node.row(now)).collect();
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        for row in &mut rows {
            if row.boot.is_empty() || matches!(row.trouble, NodeTrouble::Away { .. }) {
                continue;
            }
            if let Some(earlier) = shown.get(&row.boot) {
                row.trouble = NodeTrouble::SameAs(earlier.clone());
                row.figures = NodeFigures::default();
            } else {
                shown.insert(row.boot.clone(), row.url.clone());
            }
        }
        rows
    }

    /// Returns what the reader should know of the nodes together.
    pub fn notes(&self) -> Vec<String> {
        let present: Vec<&NodeSample> =
            self.nodes.iter().filter_map(NodeHistory::present).collect();
        let mut notes = Vec::new();
        let deployments: BTreeSet<(&str, &str)> = present
            .iter()
            .map(|sample| (sample.cluster.namespace.as_str(), sample.cluster.store.as_str()))
            .collect();
        if deployments.len() > 1 {
            notes.push(format!("the nodes are of {} deployments", deployments.len()));
        }
        let versions: BTreeSet<&str> = present
            .iter()
            .filter_map(|sample| Some(sample.cluster.itself()?.version.as_str()))
            .collect();
        if versions.len() > 1 {
            let versions: Vec<&str> = versions.into_iter().collect();
            notes.push(format!("the nodes are of several versions: {}", versions.join(", ")));
        }
        notes.extend(self.missing(&present));
        notes
    }

    /// Names live nodes that no URL was given for.
    fn missing(&self, present: &[&NodeSample]) -> Option<String> {
        let is_given = |node: &&NodeView| self.nodes.iter().any(|given| given.is_of(node));
        let known = present.iter().flat_map(|sample| &sample.cluster.nodes);
        let missing: BTreeMap<&str, &NodeView> =
            known.filter(|node| !is_given(node)).map(|node| (node.boot.as_str(), node)).collect();
        let named =
            missing.values().map(|node| format!("{} (http://{})", node.name, node.operator));
        let named: Vec<String> = named.collect();
        (!named.is_empty()).then(|| format!("not given: {}", named.join(", ")))
    }
}
