//! What the parts of a node report at one moment, and the status that follows from it.

use std::fmt;

use crate::agent::HealthIssue;
use crate::shards::{LinkReport, LinkState};

/// The status that a node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyState {
    /// Some shard connection has not been up yet, or the node does not fit the others. It takes no
    /// sessions.
    Starting,
    /// All is well.
    Ready,
    /// Some shard connection is down, so that live delivery is incomplete. Or the store or the time
    /// is not available, so that sends are refused. That is likely so for all nodes; topics and
    /// sessions go on.
    Degraded,
    /// The store takes no writes until a restart, or only this node has lost a shard. Or its clock is
    /// off and there are other nodes. It takes no sessions.
    Unready,
    /// It is being stopped. It takes no sessions.
    Draining,
}

impl fmt::Display for ReadyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
            Self::Draining => "draining",
        })
    }
}

impl ReadyState {
    /// Whether the node takes sessions.
    pub const fn takes_sessions(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// What the parts of a node report at one moment.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) is_draining: bool,
    pub(super) links: Vec<LinkReport>,
    /// Whether the node agent found that the node fits the others.
    pub(super) is_admitted: bool,
    pub(super) issues: Vec<HealthIssue>,
    /// Why the store takes no writes until a restart.
    pub(super) store_failure: Option<String>,
    /// Why the time is not known to be right.
    pub(super) clock_complaint: Option<String>,
    /// Whether other nodes serve this node's users better, because of its clock.
    pub(super) should_shed: bool,
}

impl Observation {
    pub(super) fn state(&self) -> ReadyState {
        if self.is_draining {
            ReadyState::Draining
        } else if self.is_worse_than_others() {
            ReadyState::Unready
        } else if self.is_starting() {
            ReadyState::Starting
        } else if self.has_reasons() {
            ReadyState::Degraded
        } else {
            ReadyState::Ready
        }
    }

    fn is_worse_than_others(&self) -> bool {
        let is_cut_off = |issue: &HealthIssue| matches!(issue, HealthIssue::CutOff { .. });
        self.store_failure.is_some() || self.issues.iter().any(is_cut_off) || self.should_shed
    }

    fn is_starting(&self) -> bool {
        let is_starting = |link: &LinkReport| matches!(link.state, LinkState::Starting { .. });
        !self.is_admitted || self.links.iter().any(is_starting)
    }

    fn links_not_up(&self) -> impl Iterator<Item = &LinkReport> {
        self.links.iter().filter(|link| !matches!(link.state, LinkState::Up { .. }))
    }

    fn has_reasons(&self) -> bool {
        self.links_not_up().next().is_some()
            || !self.issues.is_empty()
            || self.store_failure.is_some()
            || self.clock_complaint.is_some()
    }

    /// The reasons against the node, for an operator.
    pub(super) fn reasons(&self) -> Vec<String> {
        let links = self
            .links_not_up()
            .map(|link| format!("shard {}: {} {}", link.shard, link.role, link.state));
        let issues = self.issues.iter().map(HealthIssue::to_string);
        let store = self.store_failure.iter().map(|failure| format!("store: {failure}"));
        let clock = self.clock_complaint.iter().map(|complaint| format!("clock: {complaint}"));
        links.chain(issues).chain(store).chain(clock).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::ServerInfo;
    use crate::shards::LinkRole;

    fn link(state: LinkState) -> LinkReport {
        LinkReport { shard: "r1".into(), role: LinkRole::Subscriber, state }
    }

    /// A node without an issue.
    fn well() -> Observation {
        Observation {
            is_draining: false,
            links: vec![link(LinkState::Up { server: ServerInfo::new("a", "7.0.15") })],
            is_admitted: true,
            issues: Vec::new(),
            store_failure: None,
            clock_complaint: None,
            should_shed: false,
        }
    }

    fn told(change: impl FnOnce(&mut Observation)) -> (ReadyState, Vec<String>) {
        let mut observed = well();
        change(&mut observed);
        (observed.state(), observed.reasons())
    }

    #[test]
    fn each_part_has_its_status_and_its_reason() {
        let reason = |text: &str| vec![text.to_owned()];
        assert_eq!(told(|_| ()), (ReadyState::Ready, Vec::new()));
        let down = told(|node| node.links[0] = link(LinkState::Down { reason: "cut".into() }));
        assert_eq!(down, (ReadyState::Degraded, reason("shard r1: subscriber down: cut")));
        let begun = told(|node| node.links[0] = link(LinkState::Starting { reason: "no".into() }));
        assert_eq!(begun, (ReadyState::Starting, reason("shard r1: subscriber starting: no")));
        assert_eq!(told(|node| node.is_admitted = false), (ReadyState::Starting, Vec::new()));
        let failed = told(|node| node.store_failure = Some("full".into()));
        assert_eq!(failed, (ReadyState::Unready, reason("store: full")));
        let unsure = told(|node| node.clock_complaint = Some("off".into()));
        assert_eq!(unsure, (ReadyState::Degraded, reason("clock: off")));
        let (state, reasons) = told(|node| node.issues.push(HealthIssue::NoLease));
        assert!(state == ReadyState::Degraded && reasons[0].starts_with("store: no heartbeat"));
        let (state, _) = told(|node| node.issues.push(HealthIssue::CutOff { shard: "r1".into() }));
        assert_eq!(state, ReadyState::Unready);
    }

    #[test]
    fn the_graver_status_wins() {
        let (state, _) = told(|node| {
            node.is_admitted = false;
            node.should_shed = true;
        });
        assert_eq!(state, ReadyState::Unready, "it does not start into a better one");
        let (state, reasons) = told(|node| {
            node.is_draining = true;
            node.store_failure = Some("full".into());
        });
        assert_eq!((state, reasons.len()), (ReadyState::Draining, 1), "the reasons stay");
    }
}
