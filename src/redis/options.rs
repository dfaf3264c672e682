//! The bounds of a connection.

use std::time::Duration;

/// The bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// How long connecting and the greeting may take, together.
    pub connect: Duration,
    /// How long an idle peer may be silent before the kernel probes it.
    pub keepalive: Duration,
    /// How long sent bytes may stay unacknowledged before the kernel gives up on the peer.
    pub user_timeout: Duration,
}
