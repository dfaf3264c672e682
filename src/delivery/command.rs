//! What the loop that watches over the node tells a worker, in the queue of its messages.

use tokio::sync::mpsc;

use crate::domain::Micros;
use crate::proof::Round;
use crate::roster::Snapshot;

/// A worker's part of the node's rows.
#[derive(Debug)]
pub struct Report {
    /// Whose.
    pub worker: u32,
    /// Of each incarnation that is not over: its number, the snapshot, and whether everything of it
    /// is settled.
    pub books: Vec<(u32, Snapshot, bool)>,
    /// Whether a send is unsettled for so long that something must be wrong.
    pub stuck: bool,
}

/// A worker's part of a round is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundPart {
    /// Whose.
    pub worker: u32,
    /// Which round.
    pub round: u64,
}

/// What a worker must do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Say how its sends stand.
    Report(mpsc::Sender<Report>),
    /// Issue ids in a fresh incarnation.
    Succeed(u32),
    /// Forget an incarnation that is over.
    Forget(u32),
    /// Publish a canary of this number through every shard.
    Canaries(u64),
    /// The watermark, behind everything that was queued before.
    Advance(Micros),
    /// Read for all sessions that are registered now.
    Read(Round, mpsc::Sender<RoundPart>),
    /// A round is done everywhere, and this is the watermark.
    Done(Round, Micros),
}
