//! Whether a node is fit for clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::observation::{Observation, ReadyState, StopStage};
use super::reason::ReadyReason;
use crate::agent::NodeHealth;
use crate::clock::{ClockStatus, WallClock};
use crate::shards::{LinkReport, LinkState, LinkStates};
use crate::store::Store;

/// Whether a node is fit for clients, as its parts report it.
#[derive(Debug)]
pub struct Readiness {
    links: Arc<LinkStates>,
    store: Arc<dyn Store>,
    agent: Arc<NodeHealth>,
    clock: WallClock,
    /// How many nodes live.
    nodes: Arc<AtomicU32>,
    is_lame_duck: AtomicBool,
    is_closing: AtomicBool,
}

impl Readiness {
    /// Decides by the shard connections, the store, what the node agent found, and the clock.
    /// `nodes` counts the live nodes.
    pub const fn new(
        links: Arc<LinkStates>,
        store: Arc<dyn Store>,
        agent: Arc<NodeHealth>,
        clock: WallClock,
        nodes: Arc<AtomicU32>,
    ) -> Self {
        let (is_lame_duck, is_closing) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { links, store, agent, clock, nodes, is_lame_duck, is_closing }
    }

    /// Whether the node's clock is off and there are other nodes, which serve its users better. If
    /// the time is only not known, the store is likely not available for any node.
    pub fn should_shed_sessions(&self) -> bool {
        matches!(self.clock.verdict(), ClockStatus::Off(_))
            && self.nodes.load(Ordering::Relaxed) > 1
    }

    /// Notes that the node will stop. It reports that at once, so that balancers send it nothing
    /// more, and goes on serving what they still send.
    pub fn begin_lame_duck(&self) {
        self.is_lame_duck.store(true, Ordering::Release);
    }

    /// Notes that the node is being stopped and takes nothing more.
    pub fn drain(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Returns the states of all shard connections.
    pub fn links(&self) -> Vec<LinkReport> {
        self.links.report()
    }

    /// Returns how many shard connections are up, down, and not up yet.
    pub fn links_by_state(&self) -> [i64; 3] {
        let mut counts = [0; 3];
        for link in self.links() {
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
    pub fn verdict(&self) -> (ReadyState, Vec<ReadyReason>) {
        let observation = self.observe();
        (observation.state(), observation.reasons())
    }

    /// Returns the status for which the node takes no sessions and no requests; none if it takes
    /// them.
    pub fn refusal(&self) -> Option<ReadyState> {
        self.observe().refusal()
    }

    /// Whether the node was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stage() != StopStage::Running
    }

    fn stage(&self) -> StopStage {
        if self.is_closing.load(Ordering::Acquire) {
            StopStage::Closing
        } else if self.is_lame_duck.load(Ordering::Acquire) {
            StopStage::LameDuck
        } else {
            StopStage::Running
        }
    }

    fn observe(&self) -> Observation {
        let links = self.links.report();
        let (is_admitted, issues) = self.agent.look();
        Observation {
            stage: self.stage(),
            links,
            is_admitted,
            issues,
            store_failure: self.store.failure(),
            clock_complaint: self.clock.complaint(),
            should_shed: self.should_shed_sessions(),
        }
    }
}
