//! One request of a load, and what came of it.

use smallvec::SmallVec;

use super::mix::LoadKind;
use super::population::{LoadAudience, LoadPopulation};
use super::schedule::LoadAction;
use crate::domain::MessageId;

/// Bits of a word of the set of places.
const WORD_BITS: usize = 64;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadState {
    Waiting,
    Acked,
    /// By a node.
    Refused,
    Unknown,
    /// A queue of the generator was full: no node saw it.
    Unsent,
}

/// A request. What its frame holds follows from it, so that it can be sent again as it was.
#[derive(Debug)]
pub(super) struct LoadEntry {
    pub(super) action: LoadAction,
    /// µs since the start of the run.
    pub(super) intended_us: u64,
    /// Whether it counts in the figures: it does not while the nodes warm up.
    pub(super) is_measured: bool,
    pub(super) state: LoadState,
    pub(super) tries: u8,
    /// Its id, by the answer or by its first delivery.
    pub(super) id: Option<MessageId>,
    /// The hash of its `dedup`.
    pub(super) dedup: Option<u64>,
    /// Whether its id was compared with those of its sender's other sends.
    pub(super) is_id_checked: bool,
    /// Sessions that it has not reached.
    pub(super) missing: u32,
    /// The places of those that it has, in its audience.
    got: SmallVec<[u64; 1]>,
}

impl LoadEntry {
    pub(super) fn new(
        action: LoadAction,
        population: &LoadPopulation,
        intended_us: u64,
        is_measured: bool,
    ) -> Self {
        let size = population.audience_size(action.audience(population));
        let sender = usize::from(action.kind.is_message());
        Self {
            action,
            intended_us,
            is_measured,
            state: LoadState::Waiting,
            tries: 0,
            id: None,
            dedup: None,
            is_id_checked: false,
            missing: (size - sender) as u32,
            got: SmallVec::from_elem(0, size.div_ceil(WORD_BITS)),
        }
    }

    pub(super) const fn kind(&self) -> LoadKind {
        self.action.kind
    }

    pub(super) fn audience(&self, population: &LoadPopulation) -> LoadAudience {
        self.action.audience(population)
    }

    /// Whether it is owed to a session of its audience. An event comes to its publisher as well.
    pub(super) fn is_owed_to(&self, session: u32) -> bool {
        session != self.action.from || self.kind() == LoadKind::Topic
    }

    /// Notes a delivery at a place of the audience; returns whether it is the first there.
    pub(super) fn deliver(&mut self, place: usize) -> bool {
        let (word, bit) = (place / WORD_BITS, 1 << (place % WORD_BITS));
        let is_first = self.got[word] & bit == 0;
        self.got[word] |= bit;
        self.missing -= u32::from(is_first);
        is_first
    }

    /// Whether nothing more can happen to it.
    pub(super) fn is_complete(&self) -> bool {
        self.state != LoadState::Waiting && (self.missing == 0 || self.state != LoadState::Acked)
    }

    /// The sessions that an acknowledged send has not reached.
    pub(super) fn missing_sessions(&self, population: &LoadPopulation) -> Vec<u32> {
        if self.state != LoadState::Acked || self.missing == 0 {
            return Vec::new();
        }
        let has = |place: usize| self.got[place / WORD_BITS] & (1 << (place % WORD_BITS)) != 0;
        let sessions = population.audience(self.audience(population)).enumerate();
        let missing = sessions.filter(|(place, session)| !has(*place) && self.is_owed_to(*session));
        missing.map(|(_, session)| session).collect()
    }
}
