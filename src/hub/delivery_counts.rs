//! The result of a delivery.

use super::PushOutcome;

/// The result of a delivery, counted by session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Sessions that got the frame.
    pub handed: u64,
    /// Sessions that did not get an event, since they are slow.
    pub shed: u64,
    /// Sessions that were closed by a message that did not fit.
    pub evicted: u64,
}

impl Delivered {
    pub(super) const fn count(&mut self, handed: PushOutcome) {
        match handed {
            PushOutcome::Queued => self.handed += 1,
            PushOutcome::Shed => self.shed += 1,
            PushOutcome::Evicted => self.evicted += 1,
            PushOutcome::Closed => {}
        }
    }
}

impl std::ops::Add for Delivered {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            handed: self.handed + other.handed,
            shed: self.shed + other.shed,
            evicted: self.evicted + other.evicted,
        }
    }
}
