//! `[policy]`: who may do what.

use serde::Serialize;

use super::section::Section;

/// Who may do what.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// Who may start a direct conversation.
    pub direct: DirectPolicy,
}

/// Who may start a direct conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectPolicy {
    /// Any user, with any other.
    Anyone,
    /// Services alone, on behalf of users.
    Service,
}

impl Policy {
    pub(super) fn read(s: &mut Section) -> Self {
        let choices = [("anyone", DirectPolicy::Anyone), ("service", DirectPolicy::Service)];
        Self { direct: s.choice("direct", &choices) }
    }
}
