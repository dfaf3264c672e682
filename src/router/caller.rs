//! Who asks over HTTP.

use crate::domain::UserId;

/// Who asks over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user, for himself.
    User(UserId),
    /// A backend, for anybody. The name is its token's subject.
    Service(UserId),
}

impl Caller {
    /// Whose token it is.
    pub const fn user(&self) -> &UserId {
        match self {
            Self::User(user) | Self::Service(user) => user,
        }
    }
}
