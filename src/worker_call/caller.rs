//! Who sent an HTTP request, and for which user it acts.

use crate::auth::{Principal, TokenScope};
use crate::domain::UserId;
use crate::protocol::{Code, ErrorReply};

/// Who sent an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user, who acts for no other user.
    User(UserId),
    /// A backend, which acts for any user.
    Service(UserId),
}

impl Caller {
    /// Returns the user whose token it is.
    pub const fn user(&self) -> &UserId {
        match self {
            Self::User(user) | Self::Service(user) => user,
        }
    }

    /// Returns the user by whom a room is changed; none for a service, which is no user.
    pub const fn by(&self) -> Option<&UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::Service(_) => None,
        }
    }

    /// Returns the caller that a token names.
    pub fn of(principal: &Principal) -> Self {
        let user = principal.user.clone();
        match principal.scope {
            TokenScope::User => Self::User(user),
            TokenScope::Service | TokenScope::Admin => Self::Service(user),
        }
    }

    /// Returns the user for whom a request with `from` acts. A service must name one; a user may
    /// name no other user.
    pub fn speaks_for(&self, from: Option<UserId>) -> Result<UserId, ErrorReply> {
        match (self, from) {
            (Self::User(me), None) => Ok(me.clone()),
            (Self::User(me), Some(from)) if *me != from => {
                let message = format!("`from` must be absent or `{me}`, not `{from}`");
                Err(ErrorReply::new(Code::Forbidden, message))
            }
            (_, Some(from)) => Ok(from),
            (Self::Service(_), None) => {
                Err(ErrorReply::bad_request("`from` is missing: a service must name a user"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_speak_for_themselves_and_services_for_anybody() {
        let id = |text: &str| UserId::parse(text).unwrap();
        let (user, service) = (Caller::User(id("me")), Caller::Service(id("shop")));
        assert_eq!(user.speaks_for(None), Ok(id("me")));
        assert_eq!(user.speaks_for(Some(id("me"))), Ok(id("me")));
        let refusal = user.speaks_for(Some(id("bob"))).unwrap_err();
        assert_eq!(refusal.code, Code::Forbidden);
        assert_eq!(refusal.message, "`from` must be absent or `me`, not `bob`");
        assert_eq!(service.speaks_for(Some(id("bob"))), Ok(id("bob")));
        assert_eq!(service.speaks_for(None).unwrap_err().code, Code::BadRequest);
    }
}
