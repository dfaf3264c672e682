//! What the workers of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::ResumeBounds;
use crate::auth::Verifier;
use crate::bus::{BootId, Seal, StoreTag};
use crate::clock::WallClock;
use crate::delivery::{WorkerInterest, WorkerQueues};
use crate::domain::{HybridClock, MessageId, Micros, Observed};
use crate::hub::{PatternBudget, SessionBounds};
use crate::interest::{Interest, WildcardFeed};
use crate::layout::Layouts;
use crate::protocol::{Code, CursorSeal, ErrorReply, ReadyLimits, RequestBounds};
use crate::redis::Channels;
use crate::socket::Budget;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::watermark::WatermarkState;

/// Who may start a direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    /// Any user.
    Anyone,
    /// Services alone; an existing one stays open to both.
    Service,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// A subscribe's confirmation.
    pub subscribe: Duration,
    /// The confirmation of one with a wide pattern.
    pub tap: Duration,
    /// The confirmation of a user's own bucket after `hello`.
    pub interest: Duration,
    /// A read of the store.
    pub store: Duration,
    /// Between the server's pings.
    pub ping: Duration,
    /// A conversation is heard for so long after a send of a user without sessions here.
    pub temporary_interest: Duration,
}

/// What the workers of a node share.
#[derive(Debug)]
pub struct Services {
    /// The node's name.
    pub node: String,
    /// This start of the node.
    pub boot: BootId,
    /// The node's store, as other nodes know it.
    pub store_tag: StoreTag,
    /// Seals what it publishes.
    pub bus_seal: Seal,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock of ids.
    pub clock: Arc<HybridClock>,
    /// The time.
    pub wall: WallClock,
    /// Who publishes where.
    pub layouts: Arc<Layouts>,
    /// How channels are named.
    pub channels: Channels,
    /// What the node hears.
    pub interest: Arc<Interest>,
    /// Which workers want what.
    pub wants: Arc<WorkerInterest>,
    /// Who wants everything, here and elsewhere.
    pub feed: Arc<WildcardFeed>,
    /// The workers' queues.
    pub worker_queues: Arc<WorkerQueues>,
    /// How many nodes live, for the plan.
    pub nodes: Arc<AtomicU32>,
    /// What all threads know of the proof.
    pub view: Arc<WatermarkState>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who checks tokens.
    pub verifier: Verifier,
    /// Who may start a direct conversation.
    pub direct: Direct,
    /// Whether users may make rooms, or services alone.
    pub users_create: bool,
    /// Rooms that one user may add another user to.
    pub places_by_adder: usize,
    /// The bounds of frames.
    pub bounds: RequestBounds,
    /// Bytes of a page of history.
    pub history_bytes: usize,
    /// The limits that clients are told.
    pub ready_limits: ReadyLimits,
    /// The bounds of sessions.
    pub session_bounds: SessionBounds,
    /// What the patterns of all sessions take.
    pub patterns: Arc<PatternBudget>,
    /// What may wait for all clients together.
    pub budget: Arc<Budget>,
    /// How long things may take.
    pub waits: Waits,
    /// How much a resume sends.
    pub resume: ResumeBounds,
    /// Seals cursors.
    pub seal: CursorSeal,
    /// The last session's number.
    pub session_numbers: AtomicU64,
}

impl Services {
    /// A fresh id and when it was made.
    pub fn issue_id(&self) -> MessageId {
        MessageId::new(self.clock.issue(self.wall.now()), rand::random())
    }

    /// Shows the clock the time of an id that this node delivered, read or served.
    pub fn observe(&self, seen: Micros) {
        self.believe(seen, self.wall.most_of_an_id());
    }

    /// Shows the clock the time of an id that a client says it has seen.
    pub(super) fn observe_claim(&self, seen: Micros) {
        self.believe(seen, self.wall.most_claimed());
    }

    fn believe(&self, seen: Micros, most: Micros) {
        if self.clock.observe(seen, most) == Observed::Refused {
            self.metrics.refused_times.inc();
        }
    }

    /// Refuses what gets an id, or would show the clock a client's time, while it is not known
    /// whether this node's time is right.
    pub(super) fn must_know_the_time(&self) -> Result<(), ErrorReply> {
        if self.wall.is_known() {
            return Ok(());
        }
        // It may be known again by the time that it is asked why.
        let complaint = self.wall.complaint();
        let message =
            complaint.unwrap_or_else(|| "this node's clock was not known to be right".into());
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    /// A fresh number for a session.
    pub fn next_session(&self) -> u64 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many nodes live.
    pub fn live_nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }
}
