//! What a node allows: policies, bounds and time limits.

use std::sync::Arc;
use std::time::Duration;

use crate::hub::{PatternBudget, SessionBounds};
use crate::protocol::{ReadyLimits, RequestBounds};
use crate::socket::Budget;

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

/// The most that a resume sends.
#[derive(Debug, Clone, Copy)]
pub struct ResumeBounds {
    /// Messages per conversation.
    pub conversation: usize,
    /// Messages in all.
    pub messages: usize,
}

/// What a node allows. It is fixed when the node starts.
#[derive(Debug)]
pub struct NodeLimits {
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
}
