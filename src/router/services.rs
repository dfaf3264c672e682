//! What the workers of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::ResumeBounds;
use crate::auth::Verifier;
use crate::bus::{BootId, EnvelopeMac, StoreTag};
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

/// Time limits and intervals.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the confirmation of a subscribe.
    pub subscribe: Duration,
    /// For the confirmation of a subscribe with a wide pattern.
    pub tap: Duration,
    /// For the confirmation of a user's own bucket after `hello`.
    pub interest: Duration,
    /// For an answer of the store.
    pub store: Duration,
    /// Between the server's pings.
    pub ping: Duration,
    /// How long a conversation's bucket stays subscribed after a send of a user without sessions
    /// here.
    pub temporary_interest: Duration,
}

/// What the workers of a node share.
#[derive(Debug)]
pub struct Services {
    /// The node's name.
    pub node: String,
    /// The id of this start of the node.
    pub boot: BootId,
    /// The tag of the node's store, by which other nodes recognise it.
    pub store_tag: StoreTag,
    /// Seals what the node publishes.
    pub bus_seal: EnvelopeMac,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock of ids.
    pub clock: Arc<HybridClock>,
    /// The wall clock.
    pub wall: WallClock,
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
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Who may start a direct conversation.
    pub direct: Direct,
    /// Whether users may create rooms, or only services.
    pub users_create: bool,
    /// Rooms that one user may add another user to.
    pub places_by_adder: usize,
    /// The bounds of frames.
    pub bounds: RequestBounds,
    /// Bytes of a page of history.
    pub history_bytes: usize,
    /// The limits that clients are told in `ready`.
    pub ready_limits: ReadyLimits,
    /// The bounds of sessions.
    pub session_bounds: SessionBounds,
    /// The bytes that the patterns of all sessions take.
    pub patterns: Arc<PatternBudget>,
    /// The bytes that may wait for all clients together.
    pub budget: Arc<Budget>,
    /// Time limits and intervals.
    pub waits: Waits,
    /// The most that a resume sends.
    pub resume: ResumeBounds,
    /// Seals cursors.
    pub seal: CursorSeal,
    /// The number of the newest session.
    pub session_numbers: AtomicU64,
}

impl Services {
    /// Issues an id.
    pub fn issue_id(&self) -> MessageId {
        MessageId::new(self.clock.issue(self.wall.now()), rand::random())
    }

    /// Shows the clock the time of an id that this node delivered, read or served.
    pub fn observe(&self, seen: Micros) {
        self.believe(seen, self.wall.most_of_an_id());
    }

    /// Shows the clock the time of an id that a client claims to have seen.
    pub(super) fn observe_claim(&self, seen: Micros) {
        self.believe(seen, self.wall.most_claimed());
    }

    fn believe(&self, seen: Micros, most: Micros) {
        if self.clock.observe(seen, most) == Observed::Refused {
            self.metrics.clock.refused.inc();
        }
    }

    /// Refuses an op that gets an id, or would show the clock a client's time, while this node's
    /// time is not verified.
    pub(super) fn must_know_the_time(&self) -> Result<(), ErrorReply> {
        if self.wall.is_known() {
            return Ok(());
        }
        // The time may be known again before the reason is read.
        let complaint = self.wall.complaint();
        let message =
            complaint.unwrap_or_else(|| "this node's clock was not known to be right".into());
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    /// Returns a fresh number for a session.
    pub fn next_session(&self) -> u64 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns how many nodes are alive.
    pub fn live_nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }
}
