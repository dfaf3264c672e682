//! An index of patterns: a trie over tokens, so that an event meets only the patterns that can
//! match it, never all of them.

use std::hash::Hash;

use ahash::{AHashMap, AHashSet};

use super::{Pattern, Subject};

#[derive(Debug)]
struct Node<T> {
    literal: AHashMap<Box<str>, Node<T>>,
    one: Option<Box<Node<T>>>,
    /// Whose pattern ends here.
    here: AHashSet<T>,
    /// Whose pattern goes on with `>`.
    rest: AHashSet<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literal: AHashMap::new(), one: None, here: AHashSet::new(), rest: AHashSet::new() }
    }
}

/// Patterns and who holds them.
#[derive(Debug)]
pub struct PatternIndex<T> {
    root: Node<T>,
    len: usize,
}

impl<T> Default for PatternIndex<T> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<T: Copy + Eq + Hash> PatternIndex<T> {
    /// Adds a holder of a pattern; false if it held the pattern already.
    pub fn insert(&mut self, pattern: &Pattern, holder: T) -> bool {
        let mut node = &mut self.root;
        for token in pattern.tokens() {
            node = match token {
                ">" => return self.len.grow(node.rest.insert(holder)),
                "*" => node.one.get_or_insert_default(),
                literal => node.literal.entry(literal.into()).or_default(),
            };
        }
        self.len.grow(node.here.insert(holder))
    }

    /// Takes a holder of a pattern away; false if it did not hold the pattern.
    pub fn remove(&mut self, pattern: &Pattern, holder: T) -> bool {
        let tokens: Vec<&str> = pattern.tokens().collect();
        let removed = self.root.remove(&tokens, holder);
        self.len -= usize::from(removed);
        removed
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

    fn meet(&self, subject: &Subject, mut holders: impl FnMut(&AHashSet<T>)) {
        if self.is_empty() {
            return;
        }
        let tokens: Vec<&str> = subject.as_str().split('.').collect();
        self.root.meet(&tokens, &mut holders);
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

/// Counting what an insertion really added.
trait Grow {
    fn grow(&mut self, added: bool) -> bool;
}

impl Grow for usize {
    fn grow(&mut self, added: bool) -> bool {
        *self += usize::from(added);
        added
    }
}

impl<T: Copy + Eq + Hash> Node<T> {
    fn is_empty(&self) -> bool {
        self.literal.is_empty()
            && self.one.is_none()
            && self.here.is_empty()
            && self.rest.is_empty()
    }

    /// Removes along the path and frees every node that became empty on the way back.
    fn remove(&mut self, tokens: &[&str], holder: T) -> bool {
        match tokens {
            [] => take(&mut self.here, &holder),
            [">"] => take(&mut self.rest, &holder),
            ["*", tail @ ..] => {
                let Some(one) = &mut self.one else { return false };
                let removed = one.remove(tail, holder);
                self.one.take_if(|one| one.is_empty());
                removed
            }
            [literal, tail @ ..] => {
                let Some(next) = self.literal.get_mut(*literal) else { return false };
                let removed = next.remove(tail, holder);
                if next.is_empty() {
                    self.literal.remove(*literal);
                }
                removed
            }
        }
    }

    /// Calls `holders` with those of each pattern that matches.
    fn meet(&self, tokens: &[&str], holders: &mut impl FnMut(&AHashSet<T>)) {
        let Some((first, tail)) = tokens.split_first() else {
            holders(&self.here);
            return;
        };
        holders(&self.rest);
        if let Some(one) = &self.one {
            one.meet(tail, holders);
        }
        if let Some(next) = self.literal.get(*first) {
            next.meet(tail, holders);
        }
    }
}

/// Takes a holder out, and frees the memory of a set that became empty.
fn take<T: Eq + Hash>(holders: &mut AHashSet<T>, holder: &T) -> bool {
    let removed = holders.remove(holder);
    if holders.is_empty() {
        *holders = AHashSet::new();
    }
    removed
}

#[cfg(test)]
mod tests {
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
            prop_assert!(index.is_empty() && index.root.is_empty(), "no node outlives its pattern");
        }
    }
}
