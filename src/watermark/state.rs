//! What every thread of a node may know of the watermark at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::cluster::{UnknownWindow, UnknownWindows};
use crate::domain::{Micros, MonotonicTime};

/// The bits of a lease's end; the rest of the word is the generation. 48 bits of microseconds are
/// nine years of running.
const UNTIL_BITS: u32 = 48;

const UNTIL_MASK: u64 = (1 << UNTIL_BITS) - 1;

/// A snapshot of the watermark's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkSnapshot {
    /// Whether the watermark is frozen.
    pub frozen: bool,
    /// How many delivery gaps there were.
    pub gaps: u64,
    /// Every acknowledged message up to this id was in the store before the last successful read of
    /// the cluster table. Zero before the first.
    pub decided: Micros,
}

/// The lease of the current incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The number of the incarnation within the boot; the low 16 bits count.
    pub generation: u32,
    /// When it ends.
    pub until: MonotonicTime,
}

impl Lease {
    /// Whether it belongs to this incarnation, and holds now.
    pub const fn holds(self, generation: u32, now: MonotonicTime) -> bool {
        self.generation as u16 == generation as u16 && now.0 < self.until.0
    }
}

/// Written by the node agent, and by each thread that detects a delivery gap; read by all threads.
///
/// The watermark is frozen while there are delivery gaps that no repair has healed. It is one
/// comparison, so that no thread can see it unfrozen with an unrepaired gap.
#[derive(Debug)]
pub struct WatermarkState {
    gaps: AtomicU64,
    healed: AtomicU64,
    decided: AtomicU64,
    watermark: AtomicU64,
    lease: AtomicU64,
    /// When sends of this node were answered `outcome_unknown`, and what is known of other nodes'
    /// sends.
    unknown: Mutex<(UnknownWindows, Vec<UnknownWindow>)>,
}

impl Default for WatermarkState {
    /// Frozen: nothing was read yet.
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            gaps: AtomicU64::new(1),
            healed: zero(),
            decided: zero(),
            watermark: zero(),
            lease: zero(),
            unknown: Mutex::default(),
        }
    }
}

impl WatermarkState {
    /// Takes a snapshot.
    pub fn look(&self) -> WatermarkSnapshot {
        // In this order: a number of gaps is reached before it is healed.
        let healed = self.healed.load(Ordering::SeqCst);
        let gaps = self.gaps();
        let decided = Micros(self.decided.load(Ordering::SeqCst));
        WatermarkSnapshot { frozen: healed != gaps, gaps, decided }
    }

    /// Opens a delivery gap: the watermark stands still. It is called in the step that lost something, on any thread.
    pub fn open_gap(&self) {
        self.gaps.fetch_add(1, Ordering::SeqCst);
    }

    /// How many delivery gaps there were.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::SeqCst)
    }

    /// Marks the first so many gaps as repaired: the watermark moves again, unless there was
    /// another since.
    pub fn close_gaps(&self, gaps: u64) {
        self.healed.store(gaps, Ordering::SeqCst);
    }

    /// Records a successful read of the cluster table.
    pub fn decide(&self, decided: Micros) {
        self.decided.fetch_max(decided.0, Ordering::SeqCst);
    }

    /// Raises the watermark. It is called before the workers' queues get it, and after they got
    /// everything that it covers.
    pub fn advance_watermark(&self, watermark: Micros) {
        self.watermark.fetch_max(watermark.0, Ordering::SeqCst);
    }

    /// The node's watermark: every acknowledged message up to it was delivered to the sessions
    /// here, or waits in the queue of their worker.
    pub fn watermark(&self) -> Micros {
        Micros(self.watermark.load(Ordering::SeqCst))
    }

    /// Records that a send of this node is answered `outcome_unknown`. It is called before its id
    /// is given up, so that every heartbeat that covers the id reports it.
    pub fn outcome_unknown(&self, time: Micros) {
        self.unknown.lock().0.note(time);
    }

    /// Returns the windows of time in which sends of this node were answered so.
    pub fn unknown_here(&self) -> Vec<UnknownWindow> {
        self.unknown.lock().0.all().to_vec()
    }

    /// Sets the same of all nodes, by the last read of the cluster table.
    pub fn set_unknown(&self, windows: Vec<UnknownWindow>) {
        self.unknown.lock().1 = windows;
    }

    /// Whether a message with an id of this time may be stored without ever being published.
    pub fn may_be_unknown(&self, time: Micros) -> bool {
        let unknown = self.unknown.lock();
        unknown.0.all().iter().chain(&unknown.1).any(|window| window.holds(time))
    }

    /// Sets the current incarnation's lease; none if it may not acknowledge.
    pub fn grant(&self, lease: Option<Lease>) {
        let word = lease.map_or(0, |lease| {
            u64::from(lease.generation as u16) << UNTIL_BITS | lease.until.0 & UNTIL_MASK
        });
        self.lease.store(word, Ordering::SeqCst);
    }

    /// The current incarnation's lease, if it may acknowledge. The caller compares it with a clock
    /// that it read before.
    pub fn lease(&self) -> Option<Lease> {
        let word = self.lease.load(Ordering::SeqCst);
        let lease = Lease {
            generation: (word >> UNTIL_BITS) as u32,
            until: MonotonicTime(word & UNTIL_MASK),
        };
        (word != 0).then_some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_during_a_repair_keeps_it_frozen() {
        let state = WatermarkState::default();
        assert!(state.look().frozen, "nothing was read yet");
        let repaired = state.gaps();
        state.open_gap();
        state.close_gaps(repaired);
        assert!(state.look().frozen);
        state.close_gaps(state.gaps());
        assert!(!state.look().frozen);
        state.open_gap();
        assert!(state.look().frozen);
    }

    #[test]
    fn a_lease_goes_with_its_generation() {
        let state = WatermarkState::default();
        assert_eq!(state.lease(), None);
        let lease = Lease { generation: 65_535, until: MonotonicTime(1 << 40 | 7) };
        state.grant(Some(lease));
        assert_eq!(state.lease(), Some(lease));
        state.grant(None);
        assert_eq!(state.lease(), None);
    }

    #[test]
    fn what_some_node_answered_as_unknown_is_known() {
        let state = WatermarkState::default();
        state.outcome_unknown(Micros(50));
        state.set_unknown(vec![UnknownWindow { from: Micros(90), to: Micros(99) }]);
        assert!([50, 90, 99].iter().all(|time| state.may_be_unknown(Micros(*time))));
        assert!(![49, 51, 89, 100].iter().any(|time| state.may_be_unknown(Micros(*time))));
        assert_eq!(state.unknown_here(), [UnknownWindow { from: Micros(50), to: Micros(50) }]);
    }

    #[test]
    fn what_is_decided_never_runs_back() {
        let state = WatermarkState::default();
        state.decide(Micros(9));
        state.decide(Micros(5));
        assert_eq!(state.look().decided, Micros(9));
    }

    #[test]
    fn the_watermark_never_runs_back() {
        let state = WatermarkState::default();
        assert_eq!(state.watermark(), Micros(0));
        state.advance_watermark(Micros(9));
        state.advance_watermark(Micros(5));
        assert_eq!(state.watermark(), Micros(9));
    }
}
