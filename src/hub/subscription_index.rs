//! Which sessions listen to an event by their patterns, told apart by the copy that came.
//!
//! A session has each event by one copy: by that of the tap if all its matching patterns are wide,
//! by that of the bucket otherwise. A literal pattern counts for that only once it is *settled*:
//! until its bucket is heard, a session that was promised the same event by a wide pattern would
//! have it by neither.

use smallvec::SmallVec;

use super::SessionId;
use crate::delivery::CopyKind;
use crate::domain::{Pattern, PatternIndex, PatternScope, Subject};

/// Sessions that were found.
pub(super) type Found = SmallVec<[SessionId; 8]>;

/// The patterns of a worker's sessions.
#[derive(Debug, Default)]
pub(super) struct SubscriptionIndex {
    /// Patterns whose first two tokens are literal, settled.
    settled: PatternIndex<SessionId>,
    /// The same, not settled.
    fresh: PatternIndex<SessionId>,
    wide: PatternIndex<SessionId>,
}

impl SubscriptionIndex {
    /// Adds a pattern of a session, which is fresh; false if it is here.
    pub(super) fn insert(&mut self, pattern: &Pattern, id: SessionId) -> bool {
        match pattern.reach() {
            PatternScope::Key(_) => self.fresh.insert(pattern, id),
            PatternScope::Wide => self.wide.insert(pattern, id),
        }
    }

    /// Takes a pattern of a session away; false if it is not here.
    pub(super) fn remove(&mut self, pattern: &Pattern, id: SessionId) -> bool {
        match pattern.reach() {
            PatternScope::Key(_) => {
                self.settled.remove(pattern, id) || self.fresh.remove(pattern, id)
            }
            PatternScope::Wide => self.wide.remove(pattern, id),
        }
    }

    /// Settles a fresh pattern of a session; any other one stays what it is.
    pub(super) fn settle(&mut self, pattern: &Pattern, id: SessionId) {
        if self.fresh.remove(pattern, id) {
            self.settled.insert(pattern, id);
        }
    }

    /// Whether any session holds exactly this literal pattern.
    pub(super) fn holds(&self, literal: &str) -> bool {
        self.settled.holds(literal) || self.fresh.holds(literal)
    }

    /// How many patterns match, of all sessions: at least as many as [`SubscriptionIndex::find`] adds.
    pub(super) fn count(&self, subject: &Subject) -> usize {
        [&self.settled, &self.fresh, &self.wide].map(|index| index.count(subject)).iter().sum()
    }

    /// Adds the sessions that a copy of an event is for; one may be named several times.
    pub(super) fn find(&self, subject: &Subject, via: CopyKind, found: &mut Found) {
        match via {
            CopyKind::Here => {
                for index in [&self.settled, &self.fresh, &self.wide] {
                    index.matches(subject, |id| found.push(id));
                }
            }
            CopyKind::Bucket => {
                self.settled.matches(subject, |id| found.push(id));
                found.extend(only(&self.fresh, &self.wide, subject));
            }
            CopyKind::Tap => found.extend(only(&self.wide, &self.settled, subject)),
        }
    }
}

/// The holders of matching patterns in one index who hold none in the other.
fn only(
    index: &PatternIndex<SessionId>,
    other: &PatternIndex<SessionId>,
    subject: &Subject,
) -> Found {
    let [mut found, mut others] = [Found::new(), Found::new()];
    index.matches(subject, |id| found.push(id));
    if !found.is_empty() {
        other.matches(subject, |id| others.push(id));
        others.sort_unstable();
        found.retain(|id| others.binary_search(id).is_err());
    }
    found
}
