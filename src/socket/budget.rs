//! What may wait for all peers together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait for peers whose sockets are full, shared by the event loops of a node. Each
/// outbox has a bound of its own; this one is on their sum.
#[derive(Debug)]
pub struct Budget {
    bound: usize,
    used: AtomicUsize,
}

impl Budget {
    /// At most `bound` bytes, beyond what one turn of an event loop adds.
    pub const fn new(bound: usize) -> Self {
        Self { bound, used: AtomicUsize::new(0) }
    }

    /// Bytes that wait.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether more waits than may: somebody has to go.
    pub fn is_over(&self) -> bool {
        self.used() > self.bound
    }

    /// Whether what can be shed is to be shed: from half the bound on.
    pub fn is_tight(&self) -> bool {
        self.used() > self.bound / 2
    }

    /// A connection that was charged `was` bytes is charged `is`.
    pub(super) fn charge(&self, was: usize, is: usize) {
        if is >= was {
            self.used.fetch_add(is - was, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(was - is, Ordering::Relaxed);
        }
    }
}
