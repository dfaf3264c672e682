//! An op that starts.

use tokio::time::Instant;

use crate::hub::OpPermit;

/// An op that starts.
#[derive(Debug)]
pub(super) struct Start {
    /// What it counts as until its reply is queued. A control op has none.
    pub(super) _permit: Option<OpPermit>,
    /// When it came.
    pub(super) since: Instant,
}
