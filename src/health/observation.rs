//! What the parts of a node report at one moment, and the status that follows from it.

use std::fmt;

use super::reason::ReadyReason;
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
    /// It is being stopped. It takes sessions only while its balancer may not know that yet.
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

/// How far the stop of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopStage {
    /// Nothing stops it.
    Running,
    /// It says that it is draining, and goes on as if it were not.
    LameDuck,
    /// It takes nothing more.
    Closing,
}

/// What the parts of a node report at one moment.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) stage: StopStage,
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
    /// The status that the node reports.
    pub(super) fn state(&self) -> ReadyState {
        if self.stage == StopStage::Running { self.fitness() } else { ReadyState::Draining }
    }

    /// The status for which the node takes no sessions; none if it takes them.
    pub(super) fn refusal(&self) -> Option<ReadyState> {
        match (self.stage, self.fitness()) {
            (StopStage::Closing, _) => Some(ReadyState::Draining),
            (_, ReadyState::Ready | ReadyState::Degraded) => None,
            (_, unfit) => Some(unfit),
        }
    }

    /// The status of its parts.
    fn fitness(&self) -> ReadyState {
        if self.is_worse_than_others() {
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
    pub(super) fn reasons(&self) -> Vec<ReadyReason> {
        let links = self.links_not_up().map(ReadyReason::of_link);
        let issues = self.issues.iter().map(ReadyReason::of_issue);
        let store = self.store_failure.as_deref().map(ReadyReason::of_store);
        let clock = self.clock_complaint.as_deref().map(ReadyReason::of_clock);
        links.chain(issues).chain(store).chain(clock).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::ReasonCode;
    use super::*;
    use crate::redis::ServerInfo;
    use crate::shards::LinkRole;

    fn link(state: LinkState) -> LinkReport {
        LinkReport { shard: "r1".into(), role: LinkRole::Subscriber, state }
    }

    /// A node without an issue.
    fn well() -> Observation {
        Observation {
            stage: StopStage::Running,
            links: vec![link(LinkState::Up { server: ServerInfo::in_memory("a") })],
            is_admitted: true,
            issues: Vec::new(),
            store_failure: None,
            clock_complaint: None,
            should_shed: false,
        }
    }

    fn told(change: impl FnOnce(&mut Observation)) -> (ReadyState, Vec<ReadyReason>) {
        let mut observed = well();
        change(&mut observed);
        (observed.state(), observed.reasons())
    }

    #[test]
    fn each_part_has_its_status_and_its_reason() {
        let reason = |code, shard: Option<&str>, text: &str| {
            vec![ReadyReason { code, shard: shard.map(Into::into), detail: text.to_owned() }]
        };
        let of_shard = |code, text| reason(code, Some("r1"), text);
        assert_eq!(told(|_| ()), (ReadyState::Ready, Vec::new()));
        let down = told(|node| node.links[0] = link(LinkState::Down { reason: "cut".into() }));
        assert_eq!(
            down,
            (
                ReadyState::Degraded,
                of_shard(ReasonCode::ShardDown, "shard r1: subscriber down: cut")
            )
        );
        let begun = told(|node| node.links[0] = link(LinkState::Starting { reason: "no".into() }));
        assert_eq!(
            begun,
            (
                ReadyState::Starting,
                of_shard(ReasonCode::ShardStarting, "shard r1: subscriber starting: no")
            )
        );
        assert_eq!(told(|node| node.is_admitted = false), (ReadyState::Starting, Vec::new()));
        let failed = told(|node| node.store_failure = Some("full".into()));
        assert_eq!(
            failed,
            (ReadyState::Unready, reason(ReasonCode::StoreFailed, None, "store: full"))
        );
        let unsure = told(|node| node.clock_complaint = Some("off".into()));
        assert_eq!(
            unsure,
            (ReadyState::Degraded, reason(ReasonCode::ClockUnsure, None, "clock: off"))
        );
        let (state, reasons) = told(|node| node.issues.push(HealthIssue::NoLease));
        assert_eq!((state, reasons[0].code), (ReadyState::Degraded, ReasonCode::LeaseMissing));
        assert!(reasons[0].detail.starts_with("store: no heartbeat"), "{reasons:?}");
        let (state, reasons) =
            told(|node| node.issues.push(HealthIssue::CutOff { shard: "r1".into() }));
        assert_eq!(state, ReadyState::Unready);
        assert_eq!(
            serde_json::to_string(&reasons).unwrap(),
            r#"[{"code":"shard_cut_off","shard":"r1","detail":"shard r1: this node cannot reach it, and other nodes can"}]"#
        );
    }

    #[test]
    fn the_graver_status_wins() {
        let (state, _) = told(|node| {
            node.is_admitted = false;
            node.should_shed = true;
        });
        assert_eq!(state, ReadyState::Unready, "it does not start into a better one");
        let (state, reasons) = told(|node| {
            node.stage = StopStage::LameDuck;
            node.store_failure = Some("full".into());
        });
        assert_eq!((state, reasons.len()), (ReadyState::Draining, 1), "the reasons stay");
    }

    #[test]
    fn a_lame_duck_takes_sessions_as_far_as_its_parts_do() {
        let refusal = |stage, is_admitted| Observation { stage, is_admitted, ..well() }.refusal();
        assert_eq!(refusal(StopStage::Running, true), None);
        assert_eq!(refusal(StopStage::LameDuck, true), None);
        assert_eq!(refusal(StopStage::LameDuck, false), Some(ReadyState::Starting));
        assert_eq!(refusal(StopStage::Closing, true), Some(ReadyState::Draining));
    }
}
