//! Reads of the cluster table, one at a time, and what they show of this node among the others.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::NodeAgentOptions;
use super::health::{HealthIssue, UNREAD};
use super::join_check::JoinCheck;
use crate::clock::Readable;
use crate::cluster::{Heartbeat, NodeState};
use crate::domain::{ClockReading, MonotonicTime};

/// The time from the begin of one read to the next, unless it takes longer.
const READ_EVERY: Duration = Duration::from_secs(2);

/// How long a node must differ from others before it reports that. When all lose a shard, or all
/// reconnect, their heartbeats show it up to two writes and a read apart.
const CUT_OFF_FOR: Duration = Duration::from_secs(6);

type Reading = Pin<Box<dyn Future<Output = Result<Vec<Heartbeat>, String>> + Send>>;

/// The reads of the cluster table.
pub(super) struct PeerReader {
    plan: Arc<NodeAgentOptions>,
    reading: Option<Reading>,
    due: MonotonicTime,
    /// When the last one that succeeded returned, or the first was due.
    read: MonotonicTime,
    /// Whether the last one failed, which is logged once.
    is_failing: bool,
    serving: bool,
    /// How often this node had begun to hold wide patterns when the read began.
    tap_begins: u64,
    /// Shards that this node has lost and others have not, and since when.
    cut_off: Vec<(HealthIssue, MonotonicTime)>,
}

impl std::fmt::Debug for PeerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads").field("due", &self.due).finish_non_exhaustive()
    }
}

impl PeerReader {
    pub(super) fn new(plan: Arc<NodeAgentOptions>) -> Self {
        let due = plan.clock.moment();
        Self {
            plan,
            reading: None,
            due,
            read: due,
            is_failing: false,
            serving: false,
            tap_begins: 0,
            cut_off: Vec::new(),
        }
    }

    /// Begins a read if one is due. Returns both clocks as they were before it was issued.
    pub(super) fn begin(&mut self) -> Option<ClockReading> {
        let begun = self.plan.clock.read();
        if self.reading.is_some() || begun.moment < self.due {
            return None;
        }
        // Clients wait for the node to be admitted, or for its wide pattern.
        let waited_for = !self.serving || self.plan.feed.is_awaited();
        let every = if waited_for { READ_EVERY / 10 } else { READ_EVERY };
        self.due = begun.moment + every;
        self.tap_begins = self.plan.feed.begins();
        let (read, bound) = (self.plan.store.heartbeats(), self.plan.read);
        self.plan.metrics.agent.cluster_reads.inc();
        self.reading = Some(Box::pin(async move {
            match tokio::time::timeout(bound, read).await {
                Ok(rows) => rows.map_err(|error| error.to_string()),
                Err(_elapsed) => Err(format!("no answer within {}", Readable(bound))),
            }
        }));
        Some(begun)
    }

    /// Makes the next read due now.
    pub(super) fn hurry(&mut self) {
        self.due = self.due.min(self.plan.clock.moment());
    }

    /// Waits for the current read and returns its rows, if it succeeded.
    pub(super) async fn returned(&mut self) -> Option<Vec<Heartbeat>> {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let rows = reading.await;
        self.reading = None;
        match rows {
            Ok(rows) => {
                self.is_failing = false;
                self.read = self.plan.clock.moment();
                Some(rows)
            }
            Err(why) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!("the cluster table cannot be read, and is tried again: {why}");
                }
                None
            }
        }
    }

    /// Returns whether what is known of the others is old.
    pub(super) fn are_late(&self, now: MonotonicTime) -> bool {
        now.since(self.read) > UNREAD
    }

    /// Returns whether the node was admitted.
    pub(super) const fn is_serving(&self) -> bool {
        self.serving
    }

    /// Checks the node against the live heartbeats and returns the state that it is to report.
    /// `lost` are the shards whose subscriber connection is gone for long.
    pub(super) fn assess<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Heartbeat>,
        lost: &[usize],
    ) -> NodeState {
        let plan = &self.plan;
        let candidate = JoinCheck {
            name: &plan.about.node,
            address: &plan.about.address,
            boot: plan.about.boot.0,
            started: plan.about.started,
            publish: &plan.about.publish,
            subscribe: &plan.about.subscribe,
            shards: &plan.about.shards,
            lost,
            serving: self.serving,
        };
        let verdict = candidate.assess(rows);
        self.serving = verdict.serving;
        plan.nodes.store(verdict.nodes, Ordering::Relaxed);
        let is_same_name = |issue: &&HealthIssue| matches!(issue, HealthIssue::SameName { .. });
        let namesakes = verdict.troubles.iter().filter(is_same_name).count();
        plan.metrics.agent.namesakes.set(namesakes as i64);
        let fresh = self.tap_begins == plan.feed.begins();
        plan.feed.cluster_read(verdict.others_tap, fresh && verdict.all_copy);
        let now = plan.clock.moment();
        plan.standing.note(verdict.serving, lasting(&mut self.cut_off, verdict.troubles, now));
        verdict.says
    }
}

/// Returns these issues without those that the next heartbeats may take back. `known` are the
/// issues so far.
fn lasting(
    known: &mut Vec<(HealthIssue, MonotonicTime)>,
    mut troubles: Vec<HealthIssue>,
    now: MonotonicTime,
) -> Vec<HealthIssue> {
    known.retain(|(trouble, _)| troubles.contains(trouble));
    troubles.retain(|trouble| {
        if !matches!(trouble, HealthIssue::CutOff { .. } | HealthIssue::Elsewhere { .. }) {
            return true;
        }
        if let Some((_, since)) = known.iter().find(|(one, _)| one == trouble) {
            return now.since(*since) >= CUT_OFF_FOR;
        }
        known.push((trouble.clone(), now));
        false
    });
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_all_lose_is_not_lost_by_this_node_alone() {
        let cut = |shard: &str| HealthIssue::CutOff { shard: shard.to_owned() };
        let at = |seconds: u64| MonotonicTime(seconds * 1_000_000);
        let mut known = Vec::new();
        let mut told = |troubles: &[HealthIssue], now| lasting(&mut known, troubles.to_vec(), now);
        let other = HealthIssue::NotReadBack;
        assert_eq!(told(&[cut("a"), other.clone()], at(0)), [other]);
        assert_eq!(told(&[cut("a"), cut("b")], at(4)), []);
        assert_eq!(told(&[cut("a"), cut("b")], at(6)), [cut("a")]);
        assert_eq!(told(&[cut("b")], at(8)), [], "the others have lost it too");
        assert_eq!(told(&[cut("a"), cut("b")], at(10)), [cut("b")], "counted anew");
    }
}
