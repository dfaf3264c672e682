//! Permits for the HTTP requests in flight, bounded for the node and for each user.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::Caller;
use crate::domain::UserId;
use crate::protocol::{Code, ErrorReply};

/// The permits of a node.
#[derive(Debug)]
pub(super) struct RequestPermits {
    all_max: usize,
    user_max: usize,
    taken: Mutex<Taken>,
}

/// There are no more users than requests.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    users: AHashMap<UserId, usize>,
}

/// A request's permit, kept until all of its work is done.
#[derive(Debug)]
pub struct Admission {
    places: Arc<RequestPermits>,
    user: Option<UserId>,
}

impl RequestPermits {
    /// Sets the bounds: `all_max` for all requests together, `user_max` for each user's.
    pub(super) fn new(all_max: usize, user_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, user_max, taken: Mutex::default() })
    }

    /// Takes a permit, if one is free. The user's own bound is checked first, since only that user
    /// can free a permit under it. Services act for many users and are bounded by the node alone.
    pub(super) fn take(self: &Arc<Self>, caller: &Caller) -> Result<Admission, ErrorReply> {
        let user = match caller {
            Caller::User(user) => Some(user.clone()),
            Caller::Service(_) => None,
        };
        let mut taken = self.taken.lock();
        let of_user = user.as_ref().and_then(|user| taken.users.get(user).copied());
        if of_user.is_some_and(|held| held >= self.user_max) {
            let max = self.user_max;
            let message = format!(
                "{max} requests of the user are in flight here, as many as \
                 `limits.user_requests_in_flight` allows"
            );
            return Err(ErrorReply::new(Code::LimitReached, message));
        }
        if taken.all >= self.all_max {
            let max = self.all_max;
            let message = format!("{max} requests are in flight here, no more are allowed");
            return Err(ErrorReply::new(Code::Unavailable, message));
        }
        taken.all += 1;
        if let Some(user) = &user {
            *taken.users.entry(user.clone()).or_default() += 1;
        }
        drop(taken);
        Ok(Admission { places: Arc::clone(self), user })
    }

    /// Returns whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.taken.lock().all == 0
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        let Some(user) = &self.user else { return };
        if let Some(held) = taken.users.get_mut(user) {
            *held -= 1;
            if *held == 0 {
                taken.users.remove(user);
            }
        }
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

    fn refusal(places: &Arc<RequestPermits>, caller: &Caller) -> (Code, String) {
        let ErrorReply { code, message, .. } = places.take(caller).unwrap_err();
        (code, message.into_owned())
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let places = RequestPermits::new(2, 2);
        let held = [places.take(&user("a")).unwrap(), places.take(&user("b")).unwrap()];
        let full = "2 requests are in flight here, no more are allowed".to_owned();
        assert_eq!(refusal(&places, &user("a")), (Code::Unavailable, full));
        assert!(!places.is_idle());
        drop(held);
        assert!(places.is_idle() && places.take(&user("a")).is_ok());
        assert!(places.taken.lock().users.is_empty(), "nothing is kept for users without requests");
    }

    #[test]
    fn a_user_has_a_few_and_a_service_what_there_is() {
        let places = RequestPermits::new(5, 2);
        let mut held = vec![places.take(&user("a")).unwrap(), places.take(&user("a")).unwrap()];
        let full = "2 requests of the user are in flight here, as many as \
                    `limits.user_requests_in_flight` allows";
        assert_eq!(refusal(&places, &user("a")), (Code::LimitReached, full.to_owned()));
        held.push(places.take(&user("b")).expect("another user has their own permits"));
        let service = Caller::Service(id("a"));
        held.extend([places.take(&service).unwrap(), places.take(&service).unwrap()]);
        assert_eq!(refusal(&places, &service).0, Code::Unavailable);
        assert_eq!(
            refusal(&places, &user("a")),
            (Code::LimitReached, full.to_owned()),
            "the user's own bound is checked first"
        );
        held.remove(0);
        assert!(places.take(&user("a")).is_ok(), "a permit was given back");
    }
}
