//! Commands of the node agent to a worker, in the queue of its messages.

use tokio::sync::mpsc;

use crate::cluster::WorkerProgress;
use crate::domain::Micros;
use crate::watermark::RecoveryRound;

/// A worker's part of the node's heartbeats.
#[derive(Debug)]
pub struct Report {
    /// The worker.
    pub worker: u32,
    /// For each incarnation that is not over: its number, the snapshot, and whether everything of
    /// it is settled.
    pub incarnations: Vec<(u32, WorkerProgress, bool)>,
    /// Whether a send is unsettled for so long that something must be wrong.
    pub stuck: bool,
}

/// States that a worker's part of a recovery round is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundPart {
    /// The worker.
    pub worker: u32,
    /// The round.
    pub round: u64,
}

/// What a worker must do.
#[derive(Debug, Clone)]
pub enum WorkerCommand {
    /// Report on its sends.
    Report(mpsc::Sender<Report>),
    /// Issue ids in a new incarnation.
    StartGeneration(u32),
    /// Drop an incarnation that is over.
    DropGeneration(u32),
    /// Publish a canary of this number through every shard.
    Canaries(u64),
    /// Advance the watermark, after everything that was queued before.
    AdvanceWatermark(Micros),
    /// Read the store for all sessions that are registered now.
    StartRound(RecoveryRound, mpsc::Sender<RoundPart>),
    /// Finish a round that is done on every worker; this is the watermark.
    FinishRound(RecoveryRound, Micros),
}
