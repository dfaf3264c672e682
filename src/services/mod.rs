//! What the workers of a node share: three handles, the configuration, the store and the metrics.
//!
//! | file | holds |
//! | --- | --- |
//! | `identity` | what the node is known by, and its keys |
//! | `clocks` | the wall clock and the clock of ids |
//! | `cluster_view` | layouts, interest, queues, live nodes, the shared state of the watermark |
//! | `access` | what a user may see, as the store has it; the store's time limit |

mod access;
mod clocks;
mod cluster_view;
mod identity;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::auth::{Principal, TokenError, TokenScope};
use crate::config::Config;
use crate::domain::Micros;
use crate::hub::PatternBudget;
use crate::protocol::{Code, ErrorReply};
use crate::redis::Channel;
use crate::socket::Budget;
use crate::store::Store;
use crate::telemetry::Metrics;

pub use access::{
    Visibility, append_refusal, hidden_upto, no_such_conversation, not_a_member, within,
};
pub use clocks::NodeClocks;
pub use cluster_view::ClusterView;
pub use identity::NodeIdentity;

/// What the workers of a node share.
#[derive(Debug)]
pub struct Services {
    /// What the node is known by, and its keys.
    pub identity: NodeIdentity,
    /// The clocks.
    pub clocks: NodeClocks,
    /// The cluster, as this node knows it.
    pub cluster: ClusterView,
    /// The configuration.
    pub config: Arc<Config>,
    /// The bytes that the patterns of all sessions take.
    pub patterns: Arc<PatternBudget>,
    /// The bytes that may wait for all clients together.
    pub budget: Arc<Budget>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The number of the newest session.
    pub session_numbers: AtomicU64,
}

impl Services {
    /// Returns the channel that this node alone subscribes to.
    pub fn own_channel(&self) -> Channel {
        self.cluster.channels.node(&self.identity.boot.to_string())
    }

    /// Returns how far the watermark is behind the clock; none before the first watermark.
    pub fn watermark_lag(&self) -> Option<Duration> {
        let watermark = Micros(self.metrics.watermark.micros.get() as u64);
        (watermark != Micros(0)).then(|| self.clocks.wall.now().since(watermark))
    }

    /// Returns a fresh number for a session.
    pub fn next_session(&self) -> u64 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Verifies a token and returns whom it names, with any scope.
    pub fn identify(&self, token: &str) -> Result<Principal, ErrorReply> {
        let verified = self.identity.verifier.verify(token, self.clocks.wall.machine_seconds());
        verified.map_err(|error| {
            let code = match error {
                TokenError::Expired { .. } => Code::TokenExpired,
                _ => Code::Unauthorized,
            };
            ErrorReply::new(code, error.to_string())
        })
    }

    /// Verifies a token and returns whom it names; only a user's token may open a session.
    pub fn authenticate(&self, token: &str) -> Result<Principal, ErrorReply> {
        let principal = self.identify(token)?;
        match principal.scope {
            TokenScope::User => Ok(principal),
            TokenScope::Service | TokenScope::Admin => {
                let message = "tokens of services and admins are for HTTP only";
                Err(ErrorReply::new(Code::Unauthorized, message))
            }
        }
    }
}
