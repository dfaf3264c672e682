//! The caller, and what it may do.

use super::Grants;
use crate::domain::{Pattern, Subject, UserId};

/// For whom a token acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// A user, by sessions and over HTTP.
    User,
    /// A backend that acts for any user, over HTTP only.
    Service,
    /// A service that may also look at the cluster.
    Admin,
}

/// The caller.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// For whom it acts.
    pub scope: TokenScope,
    /// Patterns that it may publish to.
    pub publish: Grants,
    /// Patterns that it may subscribe to.
    pub subscribe: Grants,
    /// When the token ends, in seconds since the Unix epoch.
    pub expires_at: u64,
}

impl Principal {
    /// Whether the caller may publish an event to a subject. Users may publish to their own by
    /// right, and to others' and to topics by grant. No token allows rooms and presence.
    pub fn may_publish(&self, subject: &Subject) -> bool {
        let mut tokens = subject.tokens();
        match tokens.next() {
            Some("user") if tokens.next() == Some(self.user.as_str()) => true,
            Some("user" | "topic") => self.publish.match_subject(subject),
            _ => false,
        }
    }

    /// Whether the caller may subscribe to a pattern. Users may subscribe to their own subjects and
    /// presence by right. For topics and others' presence, one grant must match every subject that
    /// the pattern matches.
    pub fn may_subscribe(&self, pattern: &Pattern) -> bool {
        let mut tokens = pattern.tokens();
        let kind = tokens.next();
        let mine = tokens.next() == Some(self.user.as_str());
        match kind {
            Some("user" | "presence") if mine => true,
            Some("topic" | "presence") => self.subscribe.cover(pattern),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(publish: &[&str], subscribe: &[&str]) -> Principal {
        let patterns =
            |list: &[&str]| Grants::new(list.iter().map(|p| Pattern::parse(p).unwrap()).collect());
        Principal {
            user: UserId::parse("me").unwrap(),
            scope: TokenScope::User,
            publish: patterns(publish),
            subscribe: patterns(subscribe),
            expires_at: 0,
        }
    }

    #[test]
    fn publishing() {
        let me = principal(&["topic.a.>", "user.bob.>", "presence.*"], &[]);
        let table = [
            ("user.me.x", true),
            ("user.bob.x", true),
            ("user.carol.x", false),
            ("topic.a.b", true),
            ("topic.b", false),
            ("presence.bob", false),
            ("presence.me", false),
            ("room.x.y", false),
        ];
        for (subject, expected) in table {
            assert_eq!(me.may_publish(&Subject::parse(subject).unwrap()), expected, "{subject}");
        }
    }

    #[test]
    fn subscribing() {
        let me = principal(&[], &["topic.a.>", "topic.b.*", "presence.bob"]);
        let table = [
            ("user.me.>", true),
            ("user.bob.>", false),
            ("topic.a.b.>", true),
            ("topic.a.>", true),
            ("topic.>", false),
            ("topic.b.*", true),
            ("topic.b.>", false),
            ("presence.me", true),
            ("presence.bob", true),
            ("presence.*", false),
            ("room.x.>", false),
        ];
        for (pattern, expected) in table {
            assert_eq!(me.may_subscribe(&Pattern::parse(pattern).unwrap()), expected, "{pattern}");
        }
    }
}
