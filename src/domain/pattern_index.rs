//! An index of patterns, so that an event meets only the patterns that can match it, never all.
//!
//! There is one map from the text of a pattern to its holders. A subject finds the literal pattern
//! by its own text. It finds the others by their [`Shape`]s: the shapes that there are for the
//! literal tokens that it begins with are tried, each by one look into the map. So a subject costs
//! a look for each of its tokens and one for each shape, however many patterns there are.

use std::hash::Hash;

use ahash::AHashMap;
use smallvec::SmallVec;

use super::holders::Holders;
use super::shape::Shape;
use super::{Pattern, Subject};

/// The shapes of the patterns that begin with the same literal tokens, each with how many there are.
type Shapes = SmallVec<[(Shape, u32); 1]>;

/// Patterns and who holds them.
#[derive(Debug)]
pub struct PatternIndex<T> {
    holders: AHashMap<Pattern, Holders<T>>,
    /// By the literal tokens before the first wildcard. Literal patterns have no entry.
    shapes: AHashMap<Box<str>, Shapes>,
    len: usize,
}

impl<T> Default for PatternIndex<T> {
    fn default() -> Self {
        Self { holders: AHashMap::new(), shapes: AHashMap::new(), len: 0 }
    }
}

impl<T: Copy + Ord + Hash> PatternIndex<T> {
    /// Adds a holder of a pattern; false if it held the pattern already.
    pub fn insert(&mut self, pattern: &Pattern, holder: T) -> bool {
        let added = match self.holders.get_mut(pattern.as_str()) {
            Some(holders) => holders.insert(holder),
            None => {
                self.holders.insert(pattern.clone(), Holders::One(holder));
                self.add_shape(pattern);
                true
            }
        };
        self.len += usize::from(added);
        added
    }

    /// Takes a holder of a pattern away; false if it did not hold the pattern.
    pub fn remove(&mut self, pattern: &Pattern, holder: T) -> bool {
        let Some(holders) = self.holders.get_mut(pattern.as_str()) else { return false };
        let removed = if holders.is_only(holder) {
            self.holders.remove(pattern.as_str());
            self.remove_shape(pattern);
            true
        } else {
            holders.remove(holder)
        };
        self.len -= usize::from(removed);
        removed
    }

    fn add_shape(&mut self, pattern: &Pattern) {
        let Some(prefix) = pattern.literal_prefix() else { return };
        let shape = Shape::of(pattern);
        if !self.shapes.contains_key(prefix) {
            self.shapes.insert(prefix.into(), Shapes::new());
        }
        let Some(shapes) = self.shapes.get_mut(prefix) else { return };
        match shapes.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, patterns)) => *patterns += 1,
            None => shapes.push((shape, 1)),
        }
    }

    fn remove_shape(&mut self, pattern: &Pattern) {
        let Some(prefix) = pattern.literal_prefix() else { return };
        let Some(shapes) = self.shapes.get_mut(prefix) else { return };
        let shape = Shape::of(pattern);
        if let Some(at) = shapes.iter().position(|(known, _)| *known == shape) {
            shapes[at].1 -= 1;
            if shapes[at].1 == 0 {
                shapes.swap_remove(at);
            }
        }
        if shapes.is_empty() {
            self.shapes.remove(prefix);
        }
    }

    /// Whether anybody holds exactly this pattern.
    pub fn holds(&self, pattern: &str) -> bool {
        self.holders.contains_key(pattern)
    }

    /// Calls `found` with the holder of each pattern that matches, once a pattern: a holder of
    /// several is met several times.
    pub fn matches(&self, subject: &Subject, mut found: impl FnMut(T)) {
        self.meet(subject, |holders| holders.iter().copied().for_each(&mut found));
    }

    /// How many [`PatternIndex::matches`] finds, without meeting each.
    pub fn count(&self, subject: &Subject) -> usize {
        let mut count = 0;
        self.meet(subject, |holders| count += holders.len());
        count
    }

    /// Calls `found` with the holders of each pattern that matches.
    fn meet(&self, subject: &Subject, mut found: impl FnMut(&[T])) {
        if self.is_empty() {
            return;
        }
        let subject = subject.as_str();
        if let Some(holders) = self.holders.get(subject) {
            found(holders.as_slice());
        }
        if self.shapes.is_empty() {
            return;
        }
        let (mut tokens, mut text) = (None, String::new());
        for (end, _) in subject.match_indices('.') {
            let Some(shapes) = self.shapes.get(&subject[..end]) else { continue };
            let tokens: &SmallVec<[&str; 8]> =
                tokens.get_or_insert_with(|| subject.split('.').collect());
            for (shape, _) in shapes {
                let text = shape.fit(tokens, &mut text);
                if let Some(holders) = text.and_then(|text| self.holders.get(text)) {
                    found(holders.as_slice());
                }
            }
        }
    }

    /// How many (pattern, holder) pairs there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody holds any pattern.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Pattern, u8),
        Remove(Pattern, u8),
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let token = prop::sample::select(vec!["a", "b", "*"]);
        (prop::collection::vec(token, 1..5), any::<bool>()).prop_map(|(tokens, rest)| {
            let tail = if rest { ".>" } else { "" };
            Pattern::parse(&format!("topic.{}{tail}", tokens.join("."))).unwrap()
        })
    }

    fn any_step() -> impl Strategy<Value = Step> {
        (any_pattern(), 0..4u8, any::<bool>()).prop_map(|(pattern, holder, insert)| {
            if insert { Step::Insert(pattern, holder) } else { Step::Remove(pattern, holder) }
        })
    }

    /// How many texts and prefixes the index holds.
    fn entries(index: &PatternIndex<u8>) -> (usize, usize) {
        (index.holders.len(), index.shapes.len())
    }

    fn expected_entries(held: &[(Pattern, u8)]) -> (usize, usize) {
        let texts: BTreeSet<&Pattern> = held.iter().map(|(pattern, _)| pattern).collect();
        let prefixes: BTreeSet<&str> =
            texts.iter().filter_map(|pattern| pattern.literal_prefix()).collect();
        (texts.len(), prefixes.len())
    }

    #[test]
    fn a_literal_subscription_is_one_entry_of_a_map() {
        assert!(size_of::<(Pattern, Holders<u32>)>() <= 32);
        let mut index = PatternIndex::default();
        for number in 0..100_u32 {
            index.insert(&Pattern::parse(&format!("topic.user-{number}")).unwrap(), number);
        }
        assert_eq!((index.holders.len(), index.shapes.len()), (100, 0));
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_over_all_patterns_finds(
            steps in prop::collection::vec(any_step(), 1..60),
            subject in prop::collection::vec("[abc]", 1..6),
        ) {
            let subject = Subject::parse(&format!("topic.{}", subject.join("."))).unwrap();
            let mut index = PatternIndex::default();
            let mut naive: Vec<(Pattern, u8)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(pattern, holder) => {
                        let new = !naive.contains(&(pattern.clone(), holder));
                        prop_assert_eq!(index.insert(&pattern, holder), new);
                        if new { naive.push((pattern, holder)); }
                    }
                    Step::Remove(pattern, holder) => {
                        let before = naive.len();
                        naive.retain(|held| *held != (pattern.clone(), holder));
                        prop_assert_eq!(index.remove(&pattern, holder), naive.len() < before);
                    }
                }
                prop_assert_eq!(index.len(), naive.len());
                prop_assert_eq!(entries(&index), expected_entries(&naive));
                let mut found = Vec::new();
                index.matches(&subject, |holder| found.push(holder));
                prop_assert_eq!(index.count(&subject), found.len());
                let mut expected: Vec<u8> =
                    naive.iter().filter(|(p, _)| p.matches(&subject)).map(|(_, h)| *h).collect();
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (pattern, holder) in naive {
                index.remove(&pattern, holder);
            }
            prop_assert!(index.is_empty());
            let left = (index.holders.len(), index.shapes.len());
            prop_assert_eq!(left, (0, 0), "nothing outlives its pattern");
        }
    }
}
