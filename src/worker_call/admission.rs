//! Permits for the HTTP requests in flight, bounded for the node and for each user.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Caller;
use crate::domain::UserId;
use crate::limiter::{KeyedPermit, KeyedPermits};
use crate::protocol::{Code, ErrorReply};

/// The permits of a node.
#[derive(Debug)]
pub(super) struct RequestPermits {
    all_max: usize,
    all: Arc<Semaphore>,
    /// There are no more users than requests.
    users: Arc<KeyedPermits<UserId>>,
}

/// A request's permit, kept until all of its work is done. Each part of the work has a copy.
#[derive(Debug, Clone)]
pub struct Admission {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    _of_all: OwnedSemaphorePermit,
    _of_user: Option<KeyedPermit<UserId>>,
}

impl RequestPermits {
    /// Sets the bounds: `all_max` for all requests together, `user_max` for each user's.
    pub(super) fn new(all_max: usize, user_max: usize) -> Arc<Self> {
        let (all, users) = (Arc::new(Semaphore::new(all_max)), KeyedPermits::new(user_max));
        Arc::new(Self { all_max, all, users })
    }

    /// Takes a permit, if one is free. The user's own bound is checked first, since only that user
    /// can free a permit under it. Services act for many users and are bounded by the node alone.
    pub(super) fn take(&self, caller: &Caller) -> Result<Admission, ErrorReply> {
        let of_user = match caller {
            Caller::User(user) => Some(self.users.take(user).ok_or_else(|| self.user_is_full())?),
            Caller::Service(_) => None,
        };
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| self.is_full())?;
        Ok(Admission { _held: Arc::new(Held { _of_all: of_all, _of_user: of_user }) })
    }

    fn user_is_full(&self) -> ErrorReply {
        let max = self.users.max();
        let message = format!(
            "{max} requests of the user are in flight here, as many as \
             `limits.user_requests_in_flight` allows"
        );
        ErrorReply::new(Code::LimitReached, message)
    }

    fn is_full(&self) -> ErrorReply {
        let max = self.all_max;
        let message = format!("{max} requests are in flight here, no more are allowed");
        ErrorReply::new(Code::Unavailable, message)
    }

    /// Returns whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.all.available_permits() == self.all_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn user(name: &str) -> Caller {
        Caller::User(id(name))
    }

    fn refusal(permits: &Arc<RequestPermits>, caller: &Caller) -> (Code, String) {
        let ErrorReply { code, message, .. } = permits.take(caller).unwrap_err();
        (code, message.into_owned())
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let permits = RequestPermits::new(2, 2);
        let held = [permits.take(&user("a")).unwrap(), permits.take(&user("b")).unwrap()];
        let full = "2 requests are in flight here, no more are allowed".to_owned();
        assert_eq!(refusal(&permits, &user("a")), (Code::Unavailable, full));
        assert!(!permits.is_idle());
        drop(held);
        assert!(permits.is_idle() && permits.take(&user("a")).is_ok());
        assert_eq!(permits.users.keys(), 0, "nothing is kept for users without requests");
    }

    #[test]
    fn a_user_has_a_few_and_a_service_what_there_is() {
        let permits = RequestPermits::new(5, 2);
        let mut held = vec![permits.take(&user("a")).unwrap(), permits.take(&user("a")).unwrap()];
        let full = "2 requests of the user are in flight here, as many as \
                    `limits.user_requests_in_flight` allows";
        assert_eq!(refusal(&permits, &user("a")), (Code::LimitReached, full.to_owned()));
        held.push(permits.take(&user("b")).expect("another user has their own permits"));
        let service = Caller::Service(id("a"));
        held.extend([permits.take(&service).unwrap(), permits.take(&service).unwrap()]);
        assert_eq!(refusal(&permits, &service).0, Code::Unavailable);
        assert_eq!(
            refusal(&permits, &user("a")),
            (Code::LimitReached, full.to_owned()),
            "the user's own bound is checked first"
        );
        held.remove(0);
        assert!(permits.take(&user("a")).is_ok(), "a permit was given back");
    }
}
