//! Patterns: subjects with wildcards, NATS style.
//!
//! `*` is exactly one token, `>` is one or more tokens at the end.

use std::fmt;
use std::sync::Arc;

use super::spelling::respelled;
use super::subject::{self, Class, RoutingKey, Subject};
use super::token::{self, GrammarError};

/// How much a pattern can match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PatternScope {
    /// The first two tokens are literal: one bucket serves it.
    Key(RoutingKey),
    /// One of the first two tokens is a wildcard: it needs a copy of every event of the class.
    Wide,
}

/// A pattern that events are matched against.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern as a client spells it.
    pub fn read(text: &str) -> Result<Self, GrammarError> {
        Self::parse(&respelled(text))
    }

    /// Reads a pattern in the canonical spelling: 2 to 8 tokens, the first of which is literal and names a kind.
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        subject::check_size(text)?;
        for (at, token) in subject::tokens(text) {
            match token {
                "*" => {}
                ">" if at + 1 < text.len() => return Err(GrammarError::RestInside { at }),
                ">" => {}
                literal => token::check(literal, at)?,
            }
        }
        let pattern = Self(text.into());
        let kind = pattern.tokens().next().unwrap_or_default();
        let class = Class::of_kind(kind)?;
        if class != Class::Topic && pattern.is_wide() {
            return Err(GrammarError::Wide { found: kind.to_owned() });
        }
        Ok(pattern)
    }

    /// Returns how much the pattern can match.
    pub fn scope(&self) -> PatternScope {
        if self.is_wide() {
            PatternScope::Wide
        } else {
            PatternScope::Key(RoutingKey::of_checked(&self.0))
        }
    }

    /// Whether it matches more than one subject.
    pub(super) fn has_wildcard(&self) -> bool {
        // Only the wildcards may hold these bytes.
        self.0.contains(['*', '>'])
    }

    /// The pattern's tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        token::split(&self.0)
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern matches a subject.
    pub fn matches(&self, subject: &Subject) -> bool {
        let mut subject = subject.tokens();
        for token in self.tokens() {
            match (token, subject.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                (token, Some(found)) if token == "*" || token == found => {}
                _ => return false,
            }
        }
        subject.next().is_none()
    }

    /// Whether this pattern matches every subject that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.tokens();
        for ours in self.tokens() {
            match (ours, theirs.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                (_, Some(">")) => return false,
                (ours, Some(token)) if ours == "*" || ours == token => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    fn is_wide(&self) -> bool {
        self.tokens().nth(1).is_none_or(|second| matches!(second, "*" | ">"))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn wildcards_match_as_in_nats() {
        let table = [
            ("topic.a.*", "topic.a.b", true),
            ("topic.a.*", "topic.a", false),
            ("topic.a.*", "topic.a.b.c", false),
            ("topic.a.>", "topic.a.b.c", true),
            ("topic.a.>", "topic.a", false),
            ("topic.*.b", "topic.x.b", true),
            ("topic.>", "topic.x", true),
            ("topic.a", "topic.a", true),
            ("topic.a", "topic.b", false),
            ("presence.*", "topic.a", false),
        ];
        for (text, subject, expected) in table {
            let subject = Subject::parse(subject).unwrap();
            assert_eq!(pattern(text).matches(&subject), expected, "{text} on {subject}");
        }
    }

    #[test]
    fn refusals_say_why() {
        let error = |text: &str| Pattern::parse(text).unwrap_err();
        assert_eq!(error("topic.>.x"), GrammarError::RestInside { at: 6 });
        assert_eq!(error("topic.a*.x"), GrammarError::Byte { byte: b'*', at: 7 });
        assert_eq!(error("*.a"), GrammarError::Kind { found: "*".into() });
        assert_eq!(error("user.*.x"), GrammarError::Wide { found: "user".into() });
        assert_eq!(error("topic"), GrammarError::Tokens { tokens: 1 });
    }

    #[test]
    fn two_literal_tokens_need_one_bucket() {
        assert_eq!(
            pattern("topic.a.>").scope(),
            PatternScope::Key(RoutingKey::parse("topic.a").unwrap())
        );
        assert_eq!(pattern("topic.*.b").scope(), PatternScope::Wide);
        assert_eq!(pattern("presence.*").scope(), PatternScope::Wide);
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let token = prop::sample::select(vec!["a", "b", "*"]);
        (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest {
                tokens.push(">");
            }
            pattern(&format!("topic.{}", tokens.join(".")))
        })
    }

    /// Every subject under `topic` of up to five further tokens over a small alphabet.
    fn subjects() -> Vec<Subject> {
        let mut all = vec![String::from("topic")];
        let mut found = Vec::new();
        for _ in 0..5 {
            all = all
                .iter()
                .flat_map(|head| ["a", "b", "c"].map(|t| format!("{head}.{t}")))
                .collect();
            found.extend(all.iter().map(|text| Subject::parse(text).unwrap()));
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn covering_is_matching_every_subject(one in any_pattern(), two in any_pattern()) {
            let naive = subjects().iter().all(|s| !two.matches(s) || one.matches(s));
            prop_assert_eq!(one.covers(&two), naive, "{} covers {}", one, two);
        }
    }
}
