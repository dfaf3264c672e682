//! A node's view of the cluster: where keys are, who needs them, who lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::delivery::{WorkerInterest, WorkerQueues};
use crate::interest::{Interest, WildcardFeed};
use crate::layout::Layouts;
use crate::redis::Channels;
use crate::watermark::WatermarkState;

/// A node's view of the cluster.
#[derive(Debug)]
pub struct ClusterView {
    /// The layouts: which shard a publish goes to.
    pub layouts: Arc<Layouts>,
    /// The names of channels.
    pub channels: Channels,
    /// The buckets that the node subscribes to.
    pub interest: Arc<Interest>,
    /// Which workers want which keys.
    pub worker_interest: Arc<WorkerInterest>,
    /// Which workers and which other nodes take the wildcard feed.
    pub feed: Arc<WildcardFeed>,
    /// The workers' queues.
    pub worker_queues: Arc<WorkerQueues>,
    /// How many nodes are alive, for the choice between publishing to buckets and to nodes.
    pub nodes: Arc<AtomicU32>,
    /// The state of the watermark that all threads share.
    pub watermark_state: Arc<WatermarkState>,
}

impl ClusterView {
    /// Returns how many nodes are alive.
    pub fn live_nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }
}
