//! The patterns that a token grants.

use std::cmp::Ordering;

use crate::domain::{Pattern, Subject};

/// The patterns that a token grants, sorted by their tokens, each once. Grants that begin with the
/// same tokens are neighbours, so a check halves the list token by token. Its cost depends on the
/// tokens and not on the number of grants.
#[derive(Debug, Clone, Default)]
pub struct Grants(Box<[Pattern]>);

/// A check under way.
struct Check<'a> {
    /// The text that is checked.
    text: &'a str,
    /// Tokens of grants that were compared.
    looked_at: usize,
}

impl Grants {
    /// Takes any number of patterns, in any order.
    pub fn new(mut patterns: Vec<Pattern>) -> Self {
        patterns.sort_by_cached_key(|pattern| -> Vec<u8> {
            // A token ends before any byte by which a longer one continues.
            pattern.as_str().bytes().map(|byte| if byte == b'.' { 0 } else { byte }).collect()
        });
        patterns.dedup();
        Self(patterns.into())
    }

    /// Whether one grant matches every subject that a pattern matches.
    pub fn cover(&self, pattern: &Pattern) -> bool {
        self.check(pattern.as_str()).0
    }

    /// Whether a grant matches a subject.
    pub fn match_subject(&self, subject: &Subject) -> bool {
        // A subject is a pattern that matches only itself.
        self.check(subject.as_str()).0
    }

    /// Returns the answer, and how many tokens of grants were compared for it.
    fn check(&self, text: &str) -> (bool, usize) {
        let mut check = Check { text, looked_at: 0 };
        (check.is_covered(&self.0, 0, 0), check.looked_at)
    }
}

impl Check<'_> {
    /// Whether one of these grants covers the text. They all begin with `begun` bytes that cover
    /// the first `at` bytes of the text. Both positions are after a dot, or one byte after the end.
    fn is_covered(&mut self, grants: &[Pattern], begun: usize, at: usize) -> bool {
        let Some(first) = grants.first() else { return false };
        let Some(token) = self.text.get(at..).and_then(|text| text.split('.').next()) else {
            self.looked_at += 1;
            // Grants that end here come first.
            return first.as_str().len() < begun;
        };
        if !self.that_go_on(grants, begun, ">").is_empty() {
            return true;
        }
        let behind = at + token.len() + 1;
        if token == ">" {
            return false;
        }
        let literal = self.that_go_on(grants, begun, token);
        if self.is_covered(literal, begun + token.len() + 1, behind) {
            return true;
        }
        if token == "*" {
            return false;
        }
        let any = self.that_go_on(grants, begun, "*");
        self.is_covered(any, begun + 2, behind)
    }

    /// Returns those of these grants whose token at `begun` is this one.
    fn that_go_on<'g>(
        &mut self,
        grants: &'g [Pattern],
        begun: usize,
        token: &str,
    ) -> &'g [Pattern] {
        let mut order = |grant: &Pattern| {
            self.looked_at += 1;
            order_at(grant.as_str().as_bytes(), begun, token.as_bytes())
        };
        let [Some(first), Some(last)] = [grants.first(), grants.last()] else { return &[] };
        let (first, last) = (order(first), order(last));
        if first.is_gt() || last.is_lt() {
            return &[];
        }
        if first.is_eq() && last.is_eq() {
            return grants;
        }
        let from = grants.partition_point(|grant| order(grant).is_lt());
        let to = from + grants[from..].partition_point(|grant| order(grant).is_eq());
        &grants[from..to]
    }
}

/// Compares the token of a text at a byte with a token. An end comes before all tokens.
fn order_at(text: &[u8], at: usize, token: &[u8]) -> Ordering {
    let token_byte = |at: usize| text.get(at).copied().filter(|byte| *byte != b'.');
    for (behind, wanted) in token.iter().enumerate() {
        match token_byte(at + behind).cmp(&Some(*wanted)) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    token_byte(at + token.len()).cmp(&None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let token = prop::sample::select(vec!["a", "a-b", "b", "*"]);
        (prop::collection::vec(token, 1..5), any::<bool>()).prop_map(|(tokens, rest)| {
            let tail = if rest { ".>" } else { "" };
            pattern(&format!("topic.{}{tail}", tokens.join(".")))
        })
    }

    proptest! {
        #[test]
        fn agree_with_a_scan_over_all(
            patterns in prop::collection::vec(any_pattern(), 0..30),
            asked in any_pattern(),
            subject in prop::collection::vec(prop::sample::select(vec!["a", "a-b", "b"]), 1..5),
        ) {
            let grants = Grants::new(patterns.clone());
            let covered = patterns.iter().any(|grant| grant.covers(&asked));
            prop_assert_eq!(grants.cover(&asked), covered, "{:?} and {}", patterns, asked);
            let subject = Subject::parse(&format!("topic.{}", subject.join("."))).unwrap();
            let matched = patterns.iter().any(|grant| grant.matches(&subject));
            prop_assert_eq!(grants.match_subject(&subject), matched, "{:?} and {}", patterns, subject);
        }
    }

    #[test]
    fn a_check_costs_what_its_tokens_cost() {
        /// Two comparisons per token for each of three ways to continue, and the halvings where
        /// ways part.
        const LOOKS_MAX: usize = 80;
        for count in [1, 10, 100, 1000] {
            let grants = (0..count).map(|number| pattern(&format!("topic.a.a.a.a.a.g{number}.>")));
            let grants = Grants::new(grants.collect());
            for asked in ["topic.a.a.a.a.a.g0.x", "topic.a.a.a.a.a.none.x", "topic.nope"] {
                let (covered, looks) = grants.check(asked);
                assert_eq!(covered, asked.contains("g0"));
                assert!(looks <= LOOKS_MAX, "{looks} comparisons with {count} grants for {asked}");
            }
        }
    }
}
