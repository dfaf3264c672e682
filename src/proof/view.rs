//! What every thread of a node may know of the proof at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::{Micros, Moment};

/// The bits of a lease's end; the rest of the word is the tenure. 48 bits of microseconds are nine
/// years of running.
const UNTIL_BITS: u32 = 48;

const UNTIL_MASK: u64 = (1 << UNTIL_BITS) - 1;

/// A look at the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewed {
    /// Whether the watermark is frozen.
    pub frozen: bool,
    /// How many breaks there were.
    pub breaks: u64,
    /// Up to where everything acknowledged was in the store before the last roster read that
    /// returned; zero before the first.
    pub decided: Micros,
}

/// The lease of the current incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which incarnation of the boot it is; the low 16 bits count.
    pub tenure: u32,
    /// When it ends.
    pub until: Moment,
}

impl Lease {
    /// Whether it is an incarnation's, and holds now.
    pub const fn holds(self, tenure: u32, now: Moment) -> bool {
        self.tenure as u16 == tenure as u16 && now.0 < self.until.0
    }
}

/// Written by the roster's loop, and by whoever notices a break; read by everybody.
///
/// The watermark is frozen while there are breaks that no repair has healed: one comparison, so
/// that nobody can see it unfrozen with a break that was not repaired.
#[derive(Debug)]
pub struct View {
    breaks: AtomicU64,
    healed: AtomicU64,
    decided: AtomicU64,
    lease: AtomicU64,
}

impl Default for View {
    /// Frozen: nothing was read yet.
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self { breaks: AtomicU64::new(1), healed: zero(), decided: zero(), lease: zero() }
    }
}

impl View {
    /// A look.
    pub fn look(&self) -> Viewed {
        // In this order: what is healed was a number of breaks before.
        let healed = self.healed.load(Ordering::SeqCst);
        let breaks = self.breaks();
        let decided = Micros(self.decided.load(Ordering::SeqCst));
        Viewed { frozen: healed != breaks, breaks, decided }
    }

    /// Raises a break: in the step that lost something, on whatever thread that is.
    pub fn raise(&self) {
        self.breaks.fetch_add(1, Ordering::SeqCst);
    }

    /// How many breaks there were.
    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::SeqCst)
    }

    /// So many breaks are repaired: the watermark moves again, unless there was another since.
    pub fn heal(&self, breaks: u64) {
        self.healed.store(breaks, Ordering::SeqCst);
    }

    /// A roster read returned.
    pub fn decide(&self, decided: Micros) {
        self.decided.fetch_max(decided.0, Ordering::SeqCst);
    }

    /// The current incarnation's lease; none if it may not acknowledge.
    pub fn grant(&self, lease: Option<Lease>) {
        let word = lease.map_or(0, |lease| {
            u64::from(lease.tenure as u16) << UNTIL_BITS | lease.until.0 & UNTIL_MASK
        });
        self.lease.store(word, Ordering::SeqCst);
    }

    /// The current incarnation's lease, if it may acknowledge. Whoever asks compares it with a clock
    /// that he read before.
    pub fn lease(&self) -> Option<Lease> {
        let word = self.lease.load(Ordering::SeqCst);
        let lease = Lease { tenure: (word >> UNTIL_BITS) as u32, until: Moment(word & UNTIL_MASK) };
        (word != 0).then_some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_during_a_repair_keeps_it_frozen() {
        let view = View::default();
        assert!(view.look().frozen, "nothing was read yet");
        let repaired = view.breaks();
        view.raise();
        view.heal(repaired);
        assert!(view.look().frozen);
        view.heal(view.breaks());
        assert!(!view.look().frozen);
        view.raise();
        assert!(view.look().frozen);
    }

    #[test]
    fn a_lease_goes_with_its_tenure() {
        let view = View::default();
        assert_eq!(view.lease(), None);
        let lease = Lease { tenure: 65_535, until: Moment(1 << 40 | 7) };
        view.grant(Some(lease));
        assert_eq!(view.lease(), Some(lease));
        view.grant(None);
        assert_eq!(view.lease(), None);
    }

    #[test]
    fn what_is_decided_never_runs_back() {
        let view = View::default();
        view.decide(Micros(9));
        view.decide(Micros(5));
        assert_eq!(view.look().decided, Micros(9));
    }
}
