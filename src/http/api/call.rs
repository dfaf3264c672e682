//! One request on its way to a worker.

use std::rc::Rc;

use hyper::Method;
use hyper::header::HeaderMap;

use super::Api;
use crate::auth::Principal;
use crate::domain::{NONCE_BYTES_MAX, RoomId, RoutingKey, UserId};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::ops::Router;
use crate::protocol::{Code, ErrorReply, RequestBounds};
use crate::worker_call::{Admission, Caller, Effect};

/// The header with the idempotency key of a send.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What stands for the caller's own id in a path.
const ME: &str = "me";

/// A request that was admitted and has arrived whole.
#[derive(Debug)]
pub(super) struct ApiCall<'a> {
    pub(super) api: &'a Api,
    /// The caller that the token identifies.
    pub(super) principal: Principal,
    pub(super) admission: Admission,
    pub(super) effect: Effect,
    pub(super) query: Query,
    /// The body; empty if there is none.
    pub(super) text: String,
    /// The idempotency key that the client gave.
    pub(super) key: Option<Box<str>>,
}

impl ApiCall<'_> {
    pub(super) fn caller(&self) -> Caller {
        Caller::of(&self.principal)
    }

    /// Returns the user whom a path names. A user may write `me`, and may name no other user.
    pub(super) fn user_in_path(&self, named: UserId) -> Result<UserId, ErrorReply> {
        user_named(self.caller(), named)
    }

    pub(super) fn bounds(&self) -> &RequestBounds {
        &self.api.services.config.limits.requests
    }

    /// Returns the key whose worker handles a request about a room. For a user it is the user's
    /// own, because that worker counts all calls of the user on this node. For a service it is the
    /// room's.
    pub(super) fn key_for(&self, room: &RoomId) -> RoutingKey {
        match self.caller() {
            Caller::User(user) => RoutingKey::user(&user),
            Caller::Service(_) => RoutingKey::room(room),
        }
    }

    /// Runs the work on the worker of a key.
    pub(super) async fn ask<T, F>(
        self,
        key: &RoutingKey,
        work: impl FnOnce(Rc<Router>) -> F + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ErrorReply>> + 'static,
    {
        Ok(self.api.worker_calls.ask(self.admission, key, self.effect, work).await?)
    }
}

fn user_named(caller: Caller, named: UserId) -> Result<UserId, ErrorReply> {
    match caller {
        Caller::Service(_) => Ok(named),
        Caller::User(me) if me == named || named.as_str() == ME => Ok(me),
        Caller::User(_) => Err(ErrorReply::new(Code::NotFound, "no such user")),
    }
}

/// Returns the effect of a method: RFC 9110 calls a method safe if it asks for no change.
pub(super) fn effect_of(method: &Method) -> Effect {
    if method.is_safe() { Effect::Reads } else { Effect::Changes }
}

/// Reads the `Idempotency-Key` of a request, which is the `nonce` of a frame.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Box<str>>, ErrorReply> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ErrorReply::bad_request("Idempotency-Key is given twice"));
    }
    let text = value.to_str().map_err(|_| {
        ErrorReply::bad_request("Idempotency-Key must be of visible ASCII characters")
    })?;
    if !(1..=NONCE_BYTES_MAX).contains(&text.len()) {
        let found = text.len();
        let message =
            format!("Idempotency-Key must be of 1 to {NONCE_BYTES_MAX} bytes, not {found}");
        return Err(ErrorReply::bad_request(message));
    }
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::ENDPOINTS;
    use hyper::header::HeaderValue;

    #[test]
    fn what_is_got_is_not_changed() {
        for (method, path, _) in &ENDPOINTS {
            let changes = ["POST", "PUT", "DELETE"].contains(&method.as_str());
            assert_eq!(effect_of(method) == Effect::Changes, changes, "{method} {path}");
        }
    }

    #[test]
    fn users_are_me_and_services_name_users() {
        let id = |text: &str| UserId::parse(text).unwrap();
        let named = |caller: &Caller, text| user_named(caller.clone(), id(text));
        let (user, service) = (Caller::User(id("alice")), Caller::Service(id("shop")));
        assert_eq!(named(&user, "me"), Ok(id("alice")));
        assert_eq!(named(&user, "alice"), Ok(id("alice")));
        assert_eq!(named(&user, "bob").unwrap_err().code, Code::NotFound);
        assert_eq!(named(&service, "me"), Ok(id("me")), "a service has no inbox of its own");
    }

    #[test]
    fn an_idempotency_key_is_a_short_text() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
            }
            idempotency_key(&headers).map_err(|refusal| refusal.message.into_owned())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order 1"]), Ok(Some("order 1".into())));
        assert_eq!(read(&[&[b'k'; 64]]).unwrap().unwrap().len(), 64);
        let wrong = |values: &[&[u8]]| read(values).unwrap_err();
        assert_eq!(wrong(&[&[b'k'; 65]]), "Idempotency-Key must be of 1 to 64 bytes, not 65");
        assert_eq!(wrong(&[b""]), "Idempotency-Key must be of 1 to 64 bytes, not 0");
        assert_eq!(wrong(&[b"a", b"b"]), "Idempotency-Key is given twice");
        assert!(wrong(&["ä".as_bytes()]).contains("visible ASCII"));
    }
}
