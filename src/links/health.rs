//! What state a node's links are in.

use std::fmt;

use parking_lot::Mutex;

use crate::redis::RunId;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRole {
    /// Hears; one a node and shard.
    Subscriber,
    /// Publishes; one a worker and shard.
    Publisher {
        /// Whose.
        worker: u32,
    },
}

/// The state of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not connected since the node began.
    Starting {
        /// Why the last attempt failed.
        reason: String,
    },
    /// Connected.
    Up {
        /// To which start of the server.
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

/// One link and its state.
#[derive(Debug, Clone)]
pub struct LinkReport {
    /// The shard's name.
    pub shard: String,
    /// What it is for.
    pub role: LinkRole,
    /// Its state.
    pub state: LinkState,
}

/// The links of a node.
#[derive(Debug)]
pub struct Health {
    links: Mutex<Vec<LinkReport>>,
}

impl Health {
    /// All links of a node of `workers`, none of them connected.
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

    /// Notes a link's state; logs what changed.
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
            LinkState::Up { .. } => tracing::info!(shard, ?role, "link is up"),
            state => tracing::warn!(shard, ?role, %state, "link is not up"),
        }
    }

    /// Every link.
    pub fn report(&self) -> Vec<LinkReport> {
        self.links.lock().clone()
    }
}
