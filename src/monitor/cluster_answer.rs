//! The answer of `/v1/cluster`, as far as commands need it. What a node of another version leaves
//! out is empty.

use serde::Deserialize;
use serde_json::Value;

/// What a node answers about the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterAnswer {
    /// The namespace in its configuration.
    #[serde(default)]
    pub namespace: String,
    /// The identity of its store.
    #[serde(default)]
    pub store: String,
    /// Its own boot.
    pub boot: String,
    /// The names of its layouts.
    #[serde(default)]
    pub routing: RoutingView,
    /// All live nodes, itself included once it has joined.
    pub nodes: Vec<NodeView>,
    /// The shards of its layouts.
    #[serde(default)]
    pub shards: Vec<ShardView>,
}

/// The names of the layouts in the node's own configuration.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RoutingView {
    /// The layout that it publishes by.
    #[serde(default)]
    pub publish: String,
}

/// A live node.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its boot.
    pub boot: String,
    /// Where its operator's listener is.
    #[serde(default)]
    pub operator: String,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
    /// What it publishes and subscribes by.
    #[serde(default)]
    pub layouts: LayoutsView,
}

/// The layouts of a node.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LayoutsView {
    /// What it publishes by.
    #[serde(default)]
    pub publish: LayoutView,
    /// What it subscribes by.
    #[serde(default)]
    pub subscribe: Vec<LayoutView>,
}

/// Bucket counts and shards. Counts of 0 are not known.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LayoutView {
    /// Buckets of users.
    pub user: u64,
    /// Buckets of rooms.
    pub room: u64,
    /// Buckets of topics.
    pub topic: u64,
    /// The names of the shards.
    pub shards: Vec<String>,
}

/// A shard of the node's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct ShardView {
    /// Its name.
    pub name: String,
    /// The item of the configuration; none in memory.
    #[serde(default)]
    pub config: Option<Value>,
}

impl ClusterAnswer {
    /// Returns the live node that answers; none before it has joined.
    pub fn itself(&self) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.boot == self.boot)
    }
}
