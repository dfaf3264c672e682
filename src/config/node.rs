//! `[node]`: the identity of this process.

use serde::Serialize;

use super::name::{NODE_NAME, is_node_name};
use super::section::Section;

/// This node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeConfig {
    /// Its name in the cluster table, the logs and its own Redis channel.
    pub name: String,
}

impl NodeConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let named = |text: &str| is_node_name(text).then(|| text.to_owned());
        Self { name: s.string("name", NODE_NAME, named).unwrap_or_default() }
    }
}
