//! Counts what is under way, so that a worker ends after it.

use std::cell::Cell;
use std::rc::Rc;

/// A count of what is under way on a worker.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Rc<Cell<usize>>);

/// One of those that are counted, until it is dropped.
#[derive(Debug)]
pub struct InFlightPermit(InFlight);

impl InFlight {
    /// Counts one more.
    pub fn enter(&self) -> InFlightPermit {
        self.0.set(self.0.get() + 1);
        InFlightPermit(self.clone())
    }

    /// Counts one more, unless there are `max`.
    pub fn try_enter(&self, max: usize) -> Option<InFlightPermit> {
        (self.0.get() < max).then(|| self.enter())
    }

    /// Returns whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.0.get() == 0
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        let Self(InFlight(count)) = self;
        count.set(count.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_is_given_back() {
        let sends = InFlight::default();
        let held = [sends.enter(), sends.enter()];
        assert!(sends.try_enter(2).is_none() && !sends.is_empty());
        drop(held);
        assert!(sends.is_empty() && sends.try_enter(1).is_some());
        assert!(sends.is_empty());
    }
}
