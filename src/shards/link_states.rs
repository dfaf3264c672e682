//! The states of a node's shard connections.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;

use super::shard_log::{ShardLog, ShardNews};
use crate::clock::Readable;
use crate::redis::ServerInfo;

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
        /// What the server reported of itself.
        server: ServerInfo,
    },
    /// Lost.
    Down {
        /// Why it broke, or why the last attempt failed.
        reason: String,
    },
}

impl fmt::Display for LinkRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscriber => f.write_str("subscriber"),
            Self::Publisher { worker } => write!(f, "publisher of worker {worker}"),
        }
    }
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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    links: Vec<LinkReport>,
    shards: HashMap<String, ShardLog>,
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
        let links = shards.iter().flat_map(roles).collect();
        let shards = shards.iter().map(|shard| (shard.clone(), ShardLog::default())).collect();
        Self { state: Mutex::new(State { links, shards }) }
    }

    /// Records a connection's state, and logs what that changes about its shard.
    pub(super) fn note(&self, shard: &str, role: LinkRole, fresh: Result<ServerInfo, String>) {
        let news = self.state.lock().note(shard, role, fresh);
        match news {
            Some(ShardNews::Connected) => tracing::info!("shard {shard} is connected"),
            Some(ShardNews::Unreached(reason)) => {
                tracing::warn!("shard {shard} cannot be reached yet ({role}: {reason})");
            }
            Some(ShardNews::Lost(reason)) => tracing::warn!(
                "shard {shard} is lost ({role}: {reason}): its messages arrive late, read from \
                 the store every 10 s, and its events may be lost; sends go on"
            ),
            Some(ShardNews::Back(outage)) => {
                tracing::info!("shard {shard} is back after {}", Readable(outage));
            }
            None => {}
        }
    }

    /// Every shard connection.
    pub fn report(&self) -> Vec<LinkReport> {
        self.state.lock().links.clone()
    }
}

impl State {
    fn note(
        &mut self,
        shard: &str,
        role: LinkRole,
        fresh: Result<ServerInfo, String>,
    ) -> Option<ShardNews> {
        let link = self.links.iter_mut().find(|link| link.shard == shard && link.role == role)?;
        link.state = match (fresh, &link.state) {
            (Ok(server), _) => LinkState::Up { server },
            (Err(reason), LinkState::Starting { .. }) => LinkState::Starting { reason },
            (Err(reason), _) => LinkState::Down { reason },
        };
        let state = link.state.clone();
        let is_up = |link: &LinkReport| matches!(link.state, LinkState::Up { .. });
        let is_whole = self.links.iter().filter(|link| link.shard == shard).all(is_up);
        self.shards.get_mut(shard)?.note(state, is_whole, Instant::now())
    }
}
