//! The limits on the calls of a worker's users.

use std::fmt;
use std::sync::Arc;

use crate::limiter::{Limiter, LimiterOutage, MemberShares, WorkerLimiter, WorkerLimiterOptions};
use crate::services::Services;

/// Starts a limiter that all nodes share, on the event loop that calls it: its connections belong
/// to that loop.
pub type StartLimiter = dyn Fn() -> Arc<dyn Limiter> + Send + Sync;

/// The limits on calls of a worker's users.
#[derive(Clone)]
pub struct LimitOptions {
    /// Starts the shared limiter, if there is one.
    pub shared: Option<Arc<StartLimiter>>,
    /// Shares of contested conversations, of all workers of the node.
    pub shares: Arc<MemberShares>,
    /// What is logged when the shared limiter fails, of all workers of the node.
    pub outage: Arc<LimiterOutage>,
}

impl fmt::Debug for LimitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitOptions").finish_non_exhaustive()
    }
}

impl LimitOptions {
    /// Creates the limiter on the worker's own event loop.
    pub(super) fn limiter(self, services: &Services) -> WorkerLimiter {
        let shared = self.shared.map(|start| start());
        WorkerLimiter::new(WorkerLimiterOptions {
            rates: services.config.rates.clone(),
            shared,
            nodes: Arc::clone(&services.cluster.nodes),
            shares: self.shares,
            outage: self.outage,
            metrics: Arc::clone(&services.metrics),
        })
    }
}
