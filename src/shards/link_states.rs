//! The states of a node's shard connections.

use std::fmt;

use parking_lot::Mutex;

use crate::redis::RunId;

/// What a shard connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRole {
    /// Receives; one per node and shard.
    Subscriber,
    /// Publishes; one per worker and shard.
    Publisher {
        /// The worker.
        worker: u32,
    },
}

/// The state of a shard connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not connected since the node started.
    Starting {
        /// Why the last attempt failed.
        reason: String,
    },
    /// Connected.
    Up {
        /// The run of the server.
        run_id: RunId,
    },
    /// Lost.
    Down {
        /// Why it broke, or why the last attempt failed.
        reason: String,
    },
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { reason } => write!(f, "starting: {reason}"),
            Self::Up { .. } => f.write_str("up"),
            Self::Down { reason } => write!(f, "down: {reason}"),
        }
    }
}

/// One shard connection and its state.
#[derive(Debug, Clone)]
pub struct LinkReport {
    /// The shard's name.
    pub shard: String,
    /// Its role.
    pub role: LinkRole,
    /// Its state.
    pub state: LinkState,
}

/// The states of all shard connections of a node. The connections record them.
#[derive(Debug)]
pub struct LinkStates {
    links: Mutex<Vec<LinkReport>>,
}

impl LinkStates {
    /// All shard connections of a node of `workers`, none of them connected.
    pub fn new(shards: &[String], workers: u32) -> Self {
        let roles = |shard: &String| {
            let publishers = (0..workers).map(|worker| LinkRole::Publisher { worker });
            let shard = shard.clone();
            std::iter::once(LinkRole::Subscriber).chain(publishers).map(move |role| LinkReport {
                shard: shard.clone(),
                role,
                state: LinkState::Starting { reason: "not tried yet".into() },
            })
        };
        Self { links: Mutex::new(shards.iter().flat_map(roles).collect()) }
    }

    /// Records a connection's state, and logs a change.
    pub(super) fn note(&self, shard: &str, role: LinkRole, fresh: Result<RunId, String>) {
        let mut links = self.links.lock();
        let Some(link) = links.iter_mut().find(|link| link.shard == shard && link.role == role)
        else {
            return;
        };
        let state = match (fresh, &link.state) {
            (Ok(run_id), _) => LinkState::Up { run_id },
            (Err(reason), LinkState::Starting { .. }) => LinkState::Starting { reason },
            (Err(reason), _) => LinkState::Down { reason },
        };
        if state == link.state {
            return;
        }
        link.state = state.clone();
        drop(links);
        match state {
            LinkState::Up { .. } => tracing::info!(shard, ?role, "shard connection is up"),
            state => tracing::warn!(shard, ?role, %state, "shard connection is not up"),
        }
    }

    /// Every shard connection.
    pub fn report(&self) -> Vec<LinkReport> {
        self.links.lock().clone()
    }
}
