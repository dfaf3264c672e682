//! The limits in `ready`. Their names are those of the configuration.

use serde::Serialize;

/// All bounds that a client can meet.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReadyLimits {
    /// What one frame may hold.
    #[serde(flatten)]
    pub frame: FrameBounds,
    /// What one session may have under way.
    #[serde(flatten)]
    pub session: SessionLimits,
    /// What one page holds at most.
    #[serde(flatten)]
    pub page: PageBounds,
    /// The rates of a user, if there are any.
    #[serde(flatten)]
    pub user_rates: Option<UserRateLimits>,
    /// The rates of a connection.
    #[serde(flatten)]
    pub connection_rates: ConnectionRateLimits,
}

/// What one frame may hold.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FrameBounds {
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// Fragments of a frame.
    pub fragments: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of an event's data.
    pub data_bytes: usize,
    /// Bytes of a nonce.
    pub nonce_bytes: usize,
    /// Levels of nested JSON.
    pub json_depth: usize,
}

/// What one session may have under way.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SessionLimits {
    /// Patterns.
    pub patterns: usize,
    /// Bytes of the patterns.
    pub pattern_bytes: usize,
    /// Sends that may be unanswered.
    pub sends_in_flight: usize,
    /// Reads that may be unanswered.
    pub reads_in_flight: usize,
    /// Frames that may be held back.
    pub held_frames: usize,
    /// Bytes of these frames.
    pub held_bytes: usize,
    /// For how many milliseconds one may be held back.
    pub held_ms: usize,
    /// Bytes that may wait for the client.
    pub outbox_bytes: usize,
}

/// What one page holds at most.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageBounds {
    /// Messages of a page of history.
    pub history_messages: usize,
    /// Conversations of a page of the inbox.
    pub inbox_conversations: usize,
    /// Bytes of a page of either.
    pub history_bytes: usize,
}

/// The rates of a user: so many at once, and so many a second from then on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UserRateLimits {
    /// Sends at once.
    pub send_burst: u32,
    /// Sends a second.
    pub sends_per_s: u32,
    /// Events, signals and read marks at once.
    pub event_burst: u32,
    /// Events, signals and read marks a second.
    pub events_per_s: u32,
    /// Reads of the store at once.
    pub read_burst: u32,
    /// Reads of the store a second.
    pub reads_per_s: u32,
    /// Items of lists at once.
    pub item_burst: u32,
    /// Items of lists a second.
    pub items_per_s: u32,
}

/// The rates of a connection.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ConnectionRateLimits {
    /// Frames at once.
    pub frame_burst: u32,
    /// Frames a second.
    pub frames_per_s: u32,
    /// Bytes at once.
    pub byte_burst: u32,
    /// Bytes a second.
    pub bytes_per_s: u32,
}
