//! An index of patterns: an event meets only the patterns that can match it, never all.
//!
//! One table leads from the text of a pattern to its holders. A subject finds the literal pattern
//! by its own text. It finds the others by a walk: after some tokens it continues by its next token
//! and by `*`, as far as there are patterns with wildcards that continue so. These beginnings are
//! known by their hashes, with counts. So nearly every pattern is one entry, and the cost of a
//! subject does not grow with the number of patterns.

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::holders::{HolderLists, Holders};
use super::{Pattern, Subject, token};

/// A pattern and its holders.
#[derive(Debug)]
struct Entry<T> {
    pattern: Pattern,
    holders: Holders<T>,
}

/// Patterns and their holders.
#[derive(Debug)]
pub struct PatternIndex<T> {
    hasher: RandomState,
    /// The hashes of `*` and `>`.
    wildcards: [u64; 2],
    patterns: HashTable<Entry<T>>,
    lists: HolderLists<T>,
    /// The beginnings of patterns with wildcards: the hash of some tokens, and how many patterns
    /// continue after them. Two beginnings with the same hash cost a few lookups, because the text
    /// of what is found is compared.
    beginnings: HashTable<(u64, u32)>,
    len: usize,
}

impl<T> Default for PatternIndex<T> {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self {
            wildcards: ["*", ">"].map(|wildcard| hasher.hash_one(wildcard)),
            hasher,
            patterns: HashTable::new(),
            lists: HolderLists::default(),
            beginnings: HashTable::new(),
            len: 0,
        }
    }
}

/// The hash of no tokens.
const NO_TOKENS: u64 = 0;

/// Returns the hash of some tokens and one more. Hashes of tokens are random already; this keeps
/// their order.
const fn and_token(tokens: u64, token: u64) -> u64 {
    (tokens.rotate_left(23) ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn hash_of(hasher: &RandomState, text: &str) -> u64 {
    token::split(text).fold(NO_TOKENS, |tokens, token| and_token(tokens, hasher.hash_one(token)))
}

impl<T: Copy + Ord> PatternIndex<T> {
    /// Adds a holder of a pattern. Returns false if it held the pattern already.
    pub fn insert(&mut self, pattern: &Pattern, holder: T) -> bool {
        let hash = hash_of(&self.hasher, pattern.as_str());
        let known = self.patterns.find_mut(hash, |entry| entry.pattern == *pattern);
        let added = if let Some(entry) = known {
            self.lists.insert(&mut entry.holders, holder)
        } else {
            let entry = Entry { pattern: pattern.clone(), holders: Holders::One(holder) };
            let hash_again = |entry: &Entry<T>| hash_of(&self.hasher, entry.pattern.as_str());
            self.patterns.insert_unique(hash, entry, hash_again);
            self.add_beginnings(pattern);
            true
        };
        self.len += usize::from(added);
        added
    }

    /// Removes a holder of a pattern. Returns false if it did not hold the pattern.
    pub fn remove(&mut self, pattern: &Pattern, holder: T) -> bool {
        let hash = hash_of(&self.hasher, pattern.as_str());
        let found = self.patterns.find_entry(hash, |entry| entry.pattern == *pattern);
        let Ok(mut entry) = found else { return false };
        let removed = if entry.get().holders.is_only(holder) {
            entry.remove();
            self.remove_beginnings(pattern);
            true
        } else {
            self.lists.remove(&mut entry.get_mut().holders, holder)
        };
        self.len -= usize::from(removed);
        removed
    }

    /// Returns the hashes of the beginnings of a pattern; none if it is literal.
    fn beginnings_of(&self, pattern: &Pattern) -> SmallVec<[u64; 8]> {
        if !pattern.has_wildcard() {
            return SmallVec::new();
        }
        let mut hash = NO_TOKENS;
        let begin = |token| {
            hash = and_token(hash, self.hasher.hash_one(token));
            hash
        };
        let mut hashes: SmallVec<[u64; 8]> = pattern.tokens().map(begin).collect();
        hashes.pop();
        hashes
    }

    fn add_beginnings(&mut self, pattern: &Pattern) {
        for hash in self.beginnings_of(pattern) {
            let known = self.beginnings.find_mut(hash, |(known, _)| *known == hash);
            if let Some((_, patterns)) = known {
                *patterns += 1;
            } else {
                self.beginnings.insert_unique(hash, (hash, 1), |(known, _)| *known);
            }
        }
    }

    fn remove_beginnings(&mut self, pattern: &Pattern) {
        for hash in self.beginnings_of(pattern) {
            let found = self.beginnings.find_entry(hash, |(known, _)| *known == hash);
            let Ok(mut beginning) = found else { continue };
            beginning.get_mut().1 -= 1;
            if beginning.get().1 == 0 {
                beginning.remove();
            }
        }
    }

    /// Whether exactly this pattern has a holder.
    pub fn holds(&self, pattern: &str) -> bool {
        let is_it = |entry: &Entry<T>| entry.pattern.as_str() == pattern;
        self.patterns.find(hash_of(&self.hasher, pattern), is_it).is_some()
    }

    /// Calls `found` with the holders of each pattern that matches, once per pattern. A holder of
    /// several such patterns is found several times.
    pub fn matches(&self, subject: &Subject, mut found: impl FnMut(T)) {
        self.meet(subject, |holders| holders.iter().copied().for_each(&mut found));
    }

    /// Returns how many holders [`PatternIndex::matches`] finds, without visiting each.
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
        let tokens: SmallVec<[Token<'_>; 8]> =
            subject.tokens().map(|text| Token { text, hash: self.hasher.hash_one(text) }).collect();
        let whole = tokens.iter().fold(NO_TOKENS, |hash, token| and_token(hash, token.hash));
        if let Some(entry) = self.patterns.find(whole, |it| it.pattern.as_str() == subject.as_str())
        {
            found(self.lists.of(&entry.holders));
        }
        if !self.beginnings.is_empty() {
            let mut walk = Walk { index: self, tokens: &tokens, found };
            walk.go_on(0, NO_TOKENS, 0);
        }
    }

    /// Returns how many (pattern, holder) pairs there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no pattern has a holder.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A token of a subject.
struct Token<'a> {
    text: &'a str,
    hash: u64,
}

/// A subject on its way to the patterns with wildcards that match it.
struct Walk<'a, T, F> {
    index: &'a PatternIndex<T>,
    tokens: &'a [Token<'a>],
    found: F,
}

impl<T: Copy + Ord, F: FnMut(&[T])> Walk<'_, T, F> {
    /// Continues after the first `at` tokens. Those with a bit in `stars` were matched by `*`.
    fn go_on(&mut self, at: usize, tokens: u64, stars: u8) {
        let [star, rest] = self.index.wildcards;
        self.step(at, and_token(tokens, self.tokens[at].hash), stars);
        // The first token of a pattern is literal.
        if at > 0 {
            self.look(at, and_token(tokens, rest), stars, true);
            self.step(at, and_token(tokens, star), stars | 1 << at);
        }
    }

    fn step(&mut self, at: usize, tokens: u64, stars: u8) {
        if at + 1 == self.tokens.len() {
            // The literal pattern was found by the text of the whole subject.
            if stars > 0 {
                self.look(at + 1, tokens, stars, false);
            }
        } else if self.index.beginnings.find(tokens, |(known, _)| *known == tokens).is_some() {
            self.go_on(at + 1, tokens, stars);
        }
    }

    /// Looks up the pattern of the first `count` tokens, followed by `>` if `rest`.
    fn look(&mut self, count: usize, hash: u64, stars: u8, rest: bool) {
        let tokens = &self.tokens[..count];
        let entry = self.index.patterns.find(hash, |entry| {
            let mut theirs = Some(entry.pattern.as_str());
            for (at, token) in tokens.iter().enumerate() {
                let token = if stars >> at & 1 == 1 { "*" } else { token.text };
                let Some(behind) = theirs.and_then(|text| text.strip_prefix(token)) else {
                    return false;
                };
                theirs = behind.strip_prefix('.');
                if theirs.is_none() && !behind.is_empty() {
                    return false;
                }
            }
            theirs == rest.then_some(">")
        });
        if let Some(entry) = entry {
            (self.found)(self.index.lists.of(&entry.holders));
        }
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

    /// Returns how many patterns and beginnings the index holds.
    fn entries(index: &PatternIndex<u8>) -> (usize, usize) {
        (index.patterns.len(), index.beginnings.len())
    }

    fn expected_entries(held: &[(Pattern, u8)]) -> (usize, usize) {
        let texts: BTreeSet<&Pattern> = held.iter().map(|(pattern, _)| pattern).collect();
        let mut beginnings = BTreeSet::new();
        for pattern in texts.iter().filter(|pattern| pattern.has_wildcard()) {
            let tokens: Vec<&str> = pattern.tokens().collect();
            beginnings.extend((1..tokens.len()).map(|count| tokens[..count].join(".")));
        }
        (texts.len(), beginnings.len())
    }

    #[test]
    fn a_literal_subscription_is_one_entry_of_a_map() {
        assert!(size_of::<Entry<u32>>() <= 24);
        let mut index = PatternIndex::default();
        for number in 0..100_u32 {
            index.insert(&Pattern::parse(&format!("topic.user-{number}")).unwrap(), number);
        }
        assert_eq!((index.patterns.len(), index.beginnings.len()), (100, 0));
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
            let left = (entries(&index), index.lists.len());
            prop_assert_eq!(left, ((0, 0), 0), "nothing outlives its pattern");
        }
    }
}
