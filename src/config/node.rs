//! `[node]`: who this process is.

use serde::Serialize;

use super::section::Section;

/// This node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeConfig {
    /// Its name in the roster, the logs and its own Redis channel.
    pub name: String,
}

impl NodeConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        Self { name: s.name("name") }
    }
}
