//! Where the wildcards of a pattern stand.

use super::Pattern;

/// Where the wildcards of a pattern stand. A subject and a shape make one text, so the patterns
/// of a shape that match a subject are found by one look into a map of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Tokens, without a `>`.
    tokens: u8,
    /// A bit for each token that is `*`, the lowest for the first one.
    stars: u8,
    /// Whether `>` follows.
    rest: bool,
}

impl Shape {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let mut shape = Self { tokens: 0, stars: 0, rest: false };
        for token in pattern.tokens() {
            match token {
                ">" => shape.rest = true,
                _ => {
                    shape.stars |= u8::from(token == "*") << shape.tokens;
                    shape.tokens += 1;
                }
            }
        }
        shape
    }

    /// The text of the one pattern of this shape that matches a subject of these tokens, if there
    /// can be one.
    pub(super) fn fit<'a>(self, subject: &[&str], text: &'a mut String) -> Option<&'a str> {
        let tokens = usize::from(self.tokens);
        let fits = if self.rest { subject.len() > tokens } else { subject.len() == tokens };
        if !fits {
            return None;
        }
        text.clear();
        for (at, token) in subject[..tokens].iter().enumerate() {
            if at > 0 {
                text.push('.');
            }
            text.push_str(if self.stars >> at & 1 == 1 { "*" } else { token });
        }
        if self.rest {
            text.push_str(".>");
        }
        Some(text)
    }
}
