//! The reason why nothing is written any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Shared by the threads of a store. Once there is a failure it stays. The engine writes nothing
/// after a failure of its own, and what an fsync lost is not written by the next.
#[derive(Debug, Clone, Default)]
pub(super) struct EngineFailure(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reason: OnceLock<String>,
    is_over: AtomicBool,
}

impl EngineFailure {
    /// Stops all writes from now on. The first reason stays.
    pub(super) fn set(&self, reason: String) {
        if self.0.reason.get().is_none() {
            tracing::error!(reason, "the store failed; nothing is written until a restart");
        }
        let _first = self.0.reason.get_or_init(|| reason);
    }

    /// Why nothing is written any more; none if writes go on.
    pub(super) fn reason(&self) -> Option<String> {
        let reason = self.0.reason.get()?;
        Some(format!("nothing is written until the node is started again: {reason}"))
    }

    /// Notes that the cause is gone: the store can be opened anew.
    pub(super) fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
    }

    /// Whether the cause is gone.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }
}
