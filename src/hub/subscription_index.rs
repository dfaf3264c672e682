//! Which sessions get an event by their patterns, by the kind of the copy that arrived.
//!
//! A session gets each event by one copy. It is the copy of the wildcard feed if all its matching
//! patterns are wide, and the copy of the bucket otherwise. A literal pattern counts for that only
//! once it is *active*. Before its bucket is subscribed to, a session with a confirmed wide
//! pattern would get such an event by neither copy.

use smallvec::SmallVec;

use super::SessionId;
use crate::delivery::CopyKind;
use crate::domain::{Pattern, PatternIndex, PatternScope, Subject};

/// The sessions that were found.
pub(super) type Found = SmallVec<[SessionId; 8]>;

/// The patterns of a worker's sessions.
#[derive(Debug, Default)]
pub(super) struct SubscriptionIndex {
    /// Patterns whose first two tokens are literal, active.
    active: PatternIndex<SessionId>,
    /// The same, not active yet.
    fresh: PatternIndex<SessionId>,
    wide: PatternIndex<SessionId>,
}

impl SubscriptionIndex {
    /// Adds a pattern of a session as fresh. Returns false if it is here already.
    pub(super) fn insert(&mut self, pattern: &Pattern, id: SessionId) -> bool {
        match pattern.scope() {
            PatternScope::Key(_) => self.fresh.insert(pattern, id),
            PatternScope::Wide => self.wide.insert(pattern, id),
        }
    }

    /// Removes a pattern of a session. Returns false if it is not here.
    pub(super) fn remove(&mut self, pattern: &Pattern, id: SessionId) -> bool {
        match pattern.scope() {
            PatternScope::Key(_) => {
                self.active.remove(pattern, id) || self.fresh.remove(pattern, id)
            }
            PatternScope::Wide => self.wide.remove(pattern, id),
        }
    }

    /// Settles a fresh pattern of a session; any other pattern stays as it is.
    pub(super) fn activate(&mut self, pattern: &Pattern, id: SessionId) {
        if self.fresh.remove(pattern, id) {
            self.active.insert(pattern, id);
        }
    }

    /// Returns whether any session has exactly this literal pattern.
    pub(super) fn holds(&self, literal: &str) -> bool {
        self.active.holds(literal) || self.fresh.holds(literal)
    }

    /// Returns how many patterns of all sessions match: at least as many as
    /// [`SubscriptionIndex::find`] adds.
    pub(super) fn count(&self, subject: &Subject) -> usize {
        [&self.active, &self.fresh, &self.wide].map(|index| index.count(subject)).iter().sum()
    }

    /// Adds the sessions that a copy of an event is for; a session may be added several times.
    pub(super) fn find(&self, subject: &Subject, via: CopyKind, found: &mut Found) {
        match via {
            CopyKind::Here => {
                for index in [&self.active, &self.fresh, &self.wide] {
                    index.matches(subject, |id| found.push(id));
                }
            }
            CopyKind::Bucket => {
                self.active.matches(subject, |id| found.push(id));
                found.extend(only(&self.fresh, &self.wide, subject));
            }
            CopyKind::Tap => found.extend(only(&self.wide, &self.active, subject)),
        }
    }
}

/// Returns the sessions with matching patterns in one index and none in the other.
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
