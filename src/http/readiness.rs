//! Whether a node is fit for clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::agent::{HealthIssue, NodeHealth};
use crate::clock::{ClockStatus as Time, WallClock};
use crate::shards::{Health, LinkState};
use crate::store::Store;

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

impl ReadyState {
    /// Whether the node takes sessions.
    pub const fn takes_sessions(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// The state of a node, as its parts report it.
#[derive(Debug)]
pub struct Readiness {
    health: Arc<Health>,
    store: Arc<dyn Store>,
    standing: Arc<NodeHealth>,
    clock: WallClock,
    /// How many nodes live.
    nodes: Arc<AtomicU32>,
    draining: AtomicBool,
}

impl Readiness {
    /// Decides by the shard connections, the store, the clock, and the node's health among the
    /// others. `nodes` counts the live nodes.
    pub const fn new(
        health: Arc<Health>,
        store: Arc<dyn Store>,
        standing: Arc<NodeHealth>,
        clock: WallClock,
        nodes: Arc<AtomicU32>,
    ) -> Self {
        Self { health, store, standing, clock, nodes, draining: AtomicBool::new(false) }
    }

    /// Whether the node's clock is off and there are other nodes, which serve its users better. If
    /// the time is only not known, the store is likely not available for any node.
    pub fn is_worse_timed(&self) -> bool {
        matches!(self.clock.verdict(), Time::Off(_)) && self.nodes.load(Ordering::Relaxed) > 1
    }

    /// Notes that the node is being stopped.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns how many shard connections are up, down, and not up yet.
    pub fn links_by_state(&self) -> [i64; 3] {
        let mut counts = [0; 3];
        for link in self.health.report() {
            let state = match link.state {
                LinkState::Up { .. } => 0,
                LinkState::Down { .. } => 1,
                LinkState::Starting { .. } => 2,
            };
            counts[state] += 1;
        }
        counts
    }

    /// Returns the status, and the reasons against the node.
    pub fn verdict(&self) -> (ReadyState, Vec<String>) {
        let links = self.health.report();
        let (serving, troubles) = self.standing.look();
        let starting =
            !serving || links.iter().any(|link| matches!(link.state, LinkState::Starting { .. }));
        let failure = self.store.failure();
        let cut_off = troubles.iter().any(|trouble| matches!(trouble, HealthIssue::CutOff { .. }));
        let unready = failure.is_some() || cut_off || self.is_worse_timed();
        let against = links.iter().filter(|link| !matches!(link.state, LinkState::Up { .. }));
        let mut reasons: Vec<String> = against
            .map(|link| format!("shard {}: {:?} {}", link.shard, link.role, link.state))
            .collect();
        reasons.extend(troubles.iter().map(HealthIssue::to_string));
        reasons.extend(failure.map(|failure| format!("store: {failure}")));
        reasons.extend(self.clock.complaint().map(|complaint| format!("clock: {complaint}")));
        let verdict = if self.draining.load(Ordering::Acquire) {
            ReadyState::Draining
        } else if unready {
            ReadyState::Unready
        } else if starting {
            ReadyState::Starting
        } else if reasons.is_empty() {
            ReadyState::Ready
        } else {
            ReadyState::Degraded
        };
        (verdict, reasons)
    }
}
