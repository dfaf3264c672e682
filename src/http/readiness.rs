//! Whether a node is fit for clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::agent::{HealthIssue, NodeHealth};
use crate::clock::{ClockStatus as Time, WallClock};
use crate::shards::{Health, LinkState};
use crate::store::Store;

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyState {
    /// Some link has not been up yet, or the node does not fit the others: no sessions are taken.
    Starting,
    /// All is well.
    Ready,
    /// Some link is down, so that live delivery is not whole, or the store or the time is away, so
    /// that sends are refused: likely for all nodes, and topics and sessions go on.
    Degraded,
    /// Its store takes no writes until a restart, it has lost a shard that others reach, or its clock
    /// is off and there are others: no sessions are taken.
    Unready,
    /// It is being stopped: no sessions are taken.
    Draining,
}

impl ReadyState {
    /// Whether sessions are taken.
    pub const fn takes_sessions(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// How a node is.
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
    /// Judges by the links, the store, its clock, and how the node stands among the others, of whom
    /// `nodes` live with it.
    pub const fn new(
        health: Arc<Health>,
        store: Arc<dyn Store>,
        standing: Arc<NodeHealth>,
        clock: WallClock,
        nodes: Arc<AtomicU32>,
    ) -> Self {
        Self { health, store, standing, clock, nodes, draining: AtomicBool::new(false) }
    }

    /// Whether the node's clock is off and there are others, who serve its users better. Where the
    /// time is only not known, the store is likely to be away for all.
    pub fn is_worse_timed(&self) -> bool {
        matches!(self.clock.verdict(), Time::Off(_)) && self.nodes.load(Ordering::Relaxed) > 1
    }

    /// The node is being stopped.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// How many links are up, down, and have not been up yet.
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

    /// The verdict, and what speaks against the node.
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
