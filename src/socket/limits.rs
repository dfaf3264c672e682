//! What a client may send before the connection is closed.

/// Bounds on what one client sends. Exceeding any of them closes the connection with 1009.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Payload bytes of one data frame, checked on the header alone, before any memory is reserved.
    pub frame_bytes: u32,
    /// Payload bytes of one message, over all its fragments.
    pub message_bytes: u32,
    /// Frames of one message, empty ones included.
    pub fragments: u32,
}
