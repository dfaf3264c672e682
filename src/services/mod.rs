//! What the workers of a node share: four handles, the store and the metrics.
//!
//! | file | holds |
//! | --- | --- |
//! | `identity` | what the node is known by, and its keys |
//! | `clocks` | the wall clock and the clock of ids |
//! | `cluster_view` | layouts, interest, queues, live nodes, the shared state of the watermark |
//! | `limits` | policies, bounds, time limits |
//! | `access` | what a user may see, as the store has it; the store's time limit |

mod access;
mod clocks;
mod cluster_view;
mod identity;
mod limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::auth::{Principal, TokenRole};
use crate::protocol::{Code, ErrorReply};
use crate::store::Store;
use crate::telemetry::Metrics;

pub use access::{Visibility, append_refusal, hidden_upto, no_such_conversation, within};
pub use clocks::NodeClocks;
pub use cluster_view::ClusterView;
pub use identity::NodeIdentity;
pub use limits::{Direct, NodeLimits, ResumeBounds, Waits};

/// What the workers of a node share.
#[derive(Debug)]
pub struct Services {
    /// What the node is known by, and its keys.
    pub identity: NodeIdentity,
    /// The clocks.
    pub clocks: NodeClocks,
    /// The cluster, as this node knows it.
    pub cluster: ClusterView,
    /// What the node allows.
    pub limits: NodeLimits,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The number of the newest session.
    pub session_numbers: AtomicU64,
}

impl Services {
    /// Returns a fresh number for a session.
    pub fn next_session(&self) -> u64 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Verifies a token and returns whom it names, with any role.
    pub fn identify(&self, token: &str) -> Result<Principal, ErrorReply> {
        let verified = self.identity.verifier.verify(token, self.clocks.wall.machine_seconds());
        verified.map_err(|error| ErrorReply::new(Code::Unauthorized, error.to_string()))
    }

    /// Verifies a token and returns whom it names; only a user's token may open a session.
    pub fn authenticate(&self, token: &str) -> Result<Principal, ErrorReply> {
        let principal = self.identify(token).map_err(|refusal| refusal.of_op("hello"))?;
        match principal.role {
            TokenRole::User => Ok(principal),
            TokenRole::Service | TokenRole::Admin => {
                let message = "hello: tokens of services and admins are for HTTP only";
                Err(ErrorReply::new(Code::Unauthorized, message))
            }
        }
    }
}
