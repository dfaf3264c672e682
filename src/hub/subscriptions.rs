//! The patterns of a session, and the memory that they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::AHashSet;

use crate::delivery::CopyKind;
use crate::domain::{Pattern, PatternScope, Subject};

/// What a pattern takes beside its text: its entries in the session's list, the index, and the
/// tables of wanted keys and of buckets. It is rounded as the allocator does (measured: 180 to 330
/// bytes with the text of a short pattern).
const PATTERN_OVERHEAD_BYTES: usize = 200;

/// The bound that patterns exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternLimit {
    /// The bound of the session.
    #[error(
        "the session's patterns would take {bytes} bytes, at most `limits.pattern_bytes` = {max} \
         are allowed; each takes its length and {PATTERN_OVERHEAD_BYTES}"
    )]
    Session {
        /// The bytes that the patterns would take.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The bound of the node.
    #[error(
        "the patterns of all sessions of this node would take {bytes} bytes, at most \
         `limits.node_pattern_bytes` = {max} are allowed"
    )]
    Node {
        /// The bytes that the patterns would take.
        bytes: usize,
        /// The bound.
        max: usize,
    },
}

/// The bytes that the patterns of a node's sessions take. The workers share it.
#[derive(Debug)]
pub struct PatternBudget {
    session_max: usize,
    node_max: usize,
    taken: AtomicUsize,
}

impl PatternBudget {
    /// Creates a budget of which nothing is taken.
    pub const fn new(session_max: usize, node_max: usize) -> Self {
        Self { session_max, node_max, taken: AtomicUsize::new(0) }
    }

    /// Returns the bytes that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The bytes that a session has taken from the budget. They are given back when this is dropped.
#[derive(Debug)]
struct PatternPermit {
    budget: Arc<PatternBudget>,
    bytes: usize,
}

impl PatternPermit {
    fn take(&mut self, more: usize) -> Result<(), PatternLimit> {
        let (bytes, max) = (self.bytes + more, self.budget.session_max);
        if bytes > max {
            return Err(PatternLimit::Session { bytes, max });
        }
        let max = self.budget.node_max;
        let fits = |taken: usize| (taken + more <= max).then_some(taken + more);
        let taken = self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map_err(|taken| PatternLimit::Node { bytes: taken + more, max })?;
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for PatternPermit {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// A pattern for which no request was answered `ok` yet.
#[derive(Debug)]
struct Unconfirmed {
    pattern: Pattern,
    /// The last request that named it.
    claim: u32,
}

/// The patterns of a session.
#[derive(Debug)]
pub(super) struct Subscriptions {
    held: Vec<Pattern>,
    /// The unconfirmed ones of them, hardly ever any. Boxed, since every session has this field.
    #[expect(clippy::box_collection, reason = "a vector would make every session larger")]
    unconfirmed: Option<Box<Vec<Unconfirmed>>>,
    room: PatternPermit,
    claims: u32,
}

fn room_of(patterns: &[Pattern]) -> usize {
    patterns.iter().map(|pattern| pattern.as_str().len() + PATTERN_OVERHEAD_BYTES).sum()
}

impl Subscriptions {
    pub(super) const fn new(budget: Arc<PatternBudget>) -> Self {
        let room = PatternPermit { budget, bytes: 0 };
        Self { held: Vec::new(), unconfirmed: None, room, claims: 0 }
    }

    /// Returns which of these patterns the session does not have yet, each once.
    pub(super) fn lacking(&self, patterns: &[Pattern]) -> Vec<Pattern> {
        let mut lacking: AHashSet<&Pattern> = patterns.iter().collect();
        for held in &self.held {
            lacking.remove(held);
        }
        let mut new = Vec::with_capacity(lacking.len());
        for pattern in patterns {
            if lacking.remove(pattern) {
                new.push(pattern.clone());
            }
        }
        new
    }

    /// Adds these patterns, all or none. Returns the new ones.
    pub(super) fn add(&mut self, patterns: &[Pattern]) -> Result<Vec<Pattern>, PatternLimit> {
        let new = self.lacking(patterns);
        self.room.take(room_of(&new))?;
        if self.held.capacity() < self.held.len() + new.len() {
            // Nearly every session has one pattern, or gets all of them at once.
            self.held.reserve_exact(new.len().max(self.held.len() / 2));
        }
        self.held.extend(new.iter().cloned());
        let unconfirmed = new.iter().cloned().map(|pattern| Unconfirmed { pattern, claim: 0 });
        if !new.is_empty() {
            self.unconfirmed.get_or_insert_default().extend(unconfirmed);
        }
        Ok(new)
    }

    /// Removes these patterns. Returns those that the session had.
    pub(super) fn remove(&mut self, patterns: &[Pattern]) -> Vec<Pattern> {
        let named: AHashSet<&Pattern> = patterns.iter().collect();
        let removed: Vec<Pattern> =
            self.held.extract_if(.., |held| named.contains(&*held)).collect();
        if self.held.len() < self.held.capacity() / 2 {
            self.held.shrink_to_fit();
        }
        self.strike_unconfirmed(&removed);
        self.room.give_back(room_of(&removed));
        removed
    }

    /// Removes all patterns.
    pub(super) fn take(&mut self) -> Vec<Pattern> {
        self.room.give_back(self.room.bytes);
        self.unconfirmed = None;
        std::mem::take(&mut self.held)
    }

    /// Returns whether a pattern matches and is served by such a copy of an event.
    pub(super) fn hears(&self, subject: &Subject, via: CopyKind) -> bool {
        let serves = |pattern: &Pattern| match via {
            CopyKind::Here => true,
            CopyKind::Bucket => pattern.scope() != PatternScope::Wide,
            CopyKind::Tap => pattern.scope() == PatternScope::Wide,
        };
        self.held.iter().any(|pattern| pattern.matches(subject) && serves(pattern))
    }

    /// Makes a request answer for those of these patterns that none has confirmed. Returns its
    /// number.
    pub(super) fn claim(&mut self, patterns: &[Pattern]) -> u32 {
        self.claims = self.claims.wrapping_add(1);
        if let Some(unconfirmed) = &mut self.unconfirmed {
            let named: AHashSet<&Pattern> = patterns.iter().collect();
            let claimed = unconfirmed.iter_mut().filter(|it| named.contains(&it.pattern));
            claimed.for_each(|it| it.claim = self.claims);
        }
        self.claims
    }

    /// Records that a request was answered `ok`.
    pub(super) fn confirm(&mut self, patterns: &[Pattern]) {
        self.strike_unconfirmed(patterns);
    }

    fn strike_unconfirmed(&mut self, patterns: &[Pattern]) {
        let Some(mut unconfirmed) = self.unconfirmed.take() else { return };
        let named: AHashSet<&Pattern> = patterns.iter().collect();
        unconfirmed.retain(|it| !named.contains(&it.pattern));
        self.unconfirmed = Some(unconfirmed).filter(|left| !left.is_empty());
    }

    /// Returns the patterns that no request has confirmed and that this one claimed last.
    pub(super) fn unconfirmed(&self, claim: u32) -> Vec<Pattern> {
        let unconfirmed = self.unconfirmed.iter().flat_map(|list| list.iter());
        unconfirmed.filter(|it| it.claim == claim).map(|it| it.pattern.clone()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.held.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    /// A budget for this number of patterns of seven bytes, `topic.a`, in a session and in the
    /// node.
    fn budget(session: usize, node: usize) -> Arc<PatternBudget> {
        let each = 7 + PATTERN_OVERHEAD_BYTES;
        Arc::new(PatternBudget::new(session * each, node * each))
    }

    #[test]
    fn a_byte_too_many_is_refused_and_what_is_taken_away_is_given_back() {
        let budget = budget(2, 9);
        let mut held = Subscriptions::new(Arc::clone(&budget));
        assert_eq!(held.add(&patterns(&["topic.a"])).unwrap().len(), 1);
        let max = 2 * (7 + PATTERN_OVERHEAD_BYTES);
        let limit = held.add(&patterns(&["topic.bb"])).unwrap_err();
        assert_eq!(limit, PatternLimit::Session { bytes: max + 1, max });
        let told = limit.to_string();
        for part in ["limits.pattern_bytes", &max.to_string(), &(max + 1).to_string()] {
            assert!(told.contains(part), "{told}");
        }
        assert!(held.add(&patterns(&["topic.a", "topic.a"])).unwrap().is_empty(), "no new one");
        assert_eq!(budget.taken(), 207);
        assert_eq!(held.remove(&patterns(&["topic.x", "topic.a"])), patterns(&["topic.a"]));
        assert_eq!((held.len(), budget.taken()), (0, 0));
        assert_eq!(held.add(&patterns(&["topic.bb"])).unwrap().len(), 1);
    }

    #[test]
    fn the_node_has_a_bound_of_its_own_that_a_session_gives_back_when_it_ends() {
        let budget = budget(9, 2);
        let session = || Subscriptions::new(Arc::clone(&budget));
        let (mut one, mut two) = (session(), session());
        assert!(one.add(&patterns(&["topic.a", "topic.b"])).is_ok());
        let limit = two.add(&patterns(&["topic.a"])).unwrap_err();
        assert_eq!(limit, PatternLimit::Node { bytes: 621, max: 414 });
        assert!(limit.to_string().contains("limits.node_pattern_bytes"), "{limit}");
        assert_eq!((two.len(), budget.taken()), (0, 414), "a refusal takes nothing");
        drop(one);
        assert_eq!(budget.taken(), 0);
        assert!(two.add(&patterns(&["topic.a"])).is_ok());
        assert_eq!(two.take().len(), 1);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn by_default_a_hundred_patterns_of_125_bytes_fit() {
        let limits = Config::default().limits;
        let budget = PatternBudget::new(limits.pattern_bytes, limits.node.pattern_bytes);
        let mut held = Subscriptions::new(Arc::new(budget));
        let texts: Vec<String> = (0..100).map(|n| format!("topic.{n:0>119}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(texts.iter().all(|text| text.len() == 125));
        assert_eq!(held.add(&patterns(&texts)).unwrap().len(), limits.requests.patterns);
    }

    #[test]
    fn a_list_has_no_more_memory_than_it_needs() {
        assert!(size_of::<Subscriptions>() <= 64);
        let mut held = Subscriptions::new(budget(99, 99));
        held.add(&patterns(&["topic.a"])).unwrap();
        held.confirm(&patterns(&["topic.a"]));
        assert!(held.unconfirmed.is_none());
        assert_eq!(held.held.capacity(), 1);
        let many: Vec<String> = (0..50).map(|number| format!("topic.{number}")).collect();
        let many = patterns(&many.iter().map(String::as_str).collect::<Vec<_>>());
        held.add(&many).unwrap();
        assert_eq!(held.held.capacity(), 51);
        held.remove(&many);
        assert_eq!(held.held.capacity(), 1);
    }
}
