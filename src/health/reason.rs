//! The reasons against a node, for operators and their programs.

use serde::Serialize;

use crate::agent::HealthIssue;
use crate::shards::{LinkReport, LinkState};

/// What is wrong, by a code that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A shard connection was never up.
    ShardStarting,
    /// A shard connection was lost.
    ShardDown,
    /// Only this node has lost a shard.
    ShardCutOff,
    /// This node and another one publish to different servers of a shard.
    ShardElsewhere,
    /// The node does not subscribe to a layout that another one publishes by.
    LayoutNotSubscribed,
    /// Another node does not subscribe to the layout that this one would publish by.
    LayoutNotHeard,
    /// The node's own heartbeat was not read back yet.
    HeartbeatNotReadBack,
    /// No heartbeat of the node is acknowledged.
    LeaseMissing,
    /// The cluster table was not read for long.
    ClusterUnread,
    /// The store takes no writes until a restart.
    StoreFailed,
    /// The time is not known to be right.
    ClockUnsure,
    /// Nodes of another store publish in the namespace.
    NamespaceShared,
    /// Another live node has the node's name.
    NameShared,
}

/// A reason against a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyReason {
    /// What is wrong.
    pub code: ReasonCode,
    /// The shard that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The same as a sentence for people.
    pub detail: String,
}

impl ReadyReason {
    pub(super) fn of_link(link: &LinkReport) -> Self {
        let is_starting = matches!(link.state, LinkState::Starting { .. });
        let code = if is_starting { ReasonCode::ShardStarting } else { ReasonCode::ShardDown };
        let detail = format!("shard {}: {} {}", link.shard, link.role, link.state);
        Self { code, shard: Some(link.shard.clone()), detail }
    }

    pub(super) fn of_issue(issue: &HealthIssue) -> Self {
        let (code, shard) = match issue {
            HealthIssue::NotReadBack => (ReasonCode::HeartbeatNotReadBack, None),
            HealthIssue::Deaf { .. } => (ReasonCode::LayoutNotSubscribed, None),
            HealthIssue::Unheard { .. } => (ReasonCode::LayoutNotHeard, None),
            HealthIssue::CutOff { shard } => (ReasonCode::ShardCutOff, Some(shard)),
            HealthIssue::Elsewhere { shard, .. } => (ReasonCode::ShardElsewhere, Some(shard)),
            HealthIssue::SameName { .. } => (ReasonCode::NameShared, None),
            HealthIssue::Unread => (ReasonCode::ClusterUnread, None),
            HealthIssue::Foreign => (ReasonCode::NamespaceShared, None),
            HealthIssue::NoLease => (ReasonCode::LeaseMissing, None),
        };
        Self { code, shard: shard.cloned(), detail: issue.to_string() }
    }

    pub(super) fn of_store(failure: &str) -> Self {
        let detail = format!("store: {failure}");
        Self { code: ReasonCode::StoreFailed, shard: None, detail }
    }

    pub(super) fn of_clock(complaint: &str) -> Self {
        let detail = format!("clock: {complaint}");
        Self { code: ReasonCode::ClockUnsure, shard: None, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_page_has_every_code() {
        use ReasonCode::*;
        let page = include_str!("../../config/README.md");
        for code in [
            ShardStarting,
            ShardDown,
            ShardCutOff,
            ShardElsewhere,
            LayoutNotSubscribed,
            LayoutNotHeard,
            HeartbeatNotReadBack,
            LeaseMissing,
            ClusterUnread,
            StoreFailed,
            ClockUnsure,
            NamespaceShared,
            NameShared,
        ] {
            let name = serde_json::to_value(code).unwrap();
            let cell = format!("| `{}` |", name.as_str().unwrap());
            assert!(page.contains(&cell), "{cell}");
        }
    }
}
