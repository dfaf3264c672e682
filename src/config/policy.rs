//! `[policy]`: who may do what.

use serde::Serialize;

use super::section::Section;

/// Who may do what.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyConfig {
    /// Who may start a direct conversation.
    pub direct: DirectPolicy,
    /// Who may make rooms.
    pub create: CreatePolicy,
}

/// Who may make rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CreatePolicy {
    /// Any user. The server chooses the room's id.
    Anyone,
    /// Services alone.
    Service,
}

/// Who may start a direct conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectPolicy {
    /// Any user, with any other user.
    Anyone,
    /// Services alone, on behalf of users.
    Service,
}

impl PolicyConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let choices = [("anyone", DirectPolicy::Anyone), ("service", DirectPolicy::Service)];
        let makers = [("anyone", CreatePolicy::Anyone), ("service", CreatePolicy::Service)];
        Self { direct: s.choice("direct", &choices), create: s.choice("create", &makers) }
    }
}
