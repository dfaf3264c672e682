//! The permits of a connection while it speaks HTTP. At first it holds one of those for connections
//! without a token. Once it has shown a token, it holds one of its user's.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Response, StatusCode};

use super::problem::{Problem, end_after};
use crate::auth::{Principal, TokenScope};
use crate::domain::UserId;
use crate::limiter::{HandshakePermit, KeyedPermit, KeyedPermits};
use crate::protocol::Code;

/// When a user with too many connections may try again. Nothing tells when one of them ends.
const FULL_PAUSE: Duration = Duration::from_secs(10);

/// The permits of a connection while it speaks HTTP.
#[derive(Debug)]
pub(super) struct Handshake {
    /// None once a token was shown.
    permit: RefCell<Option<HandshakePermit>>,
    /// Of the user whose token was shown last.
    user: RefCell<Option<KeyedPermit<UserId>>>,
}

impl Handshake {
    pub(super) fn new(permit: HandshakePermit) -> Self {
        Self { permit: RefCell::new(Some(permit)), user: RefCell::default() }
    }

    /// Notes that something was read from the client.
    pub(super) fn speak(&self) {
        if let Some(permit) = &mut *self.permit.borrow_mut() {
            permit.speak();
        }
    }

    /// Notes the address of the client.
    pub(super) fn assign(&self, address: Option<IpAddr>) {
        if let Some(permit) = &mut *self.permit.borrow_mut() {
            permit.assign(address);
        }
    }

    /// Resolves when the connection must end, to make room for another one.
    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut permit = self.permit.borrow_mut();
        permit.as_mut().map_or(Poll::Pending, |permit| permit.poll_ended(cx))
    }

    /// Notes that a token was shown: the connection counts among those of its user. Services act
    /// for many users, so their connections are not counted.
    pub(super) fn identify(
        &self,
        principal: &Principal,
        users: &Arc<KeyedPermits<UserId>>,
    ) -> Result<(), Problem> {
        let mut held = self.user.borrow_mut();
        let is_known = held.as_ref().is_some_and(|permit| *permit.key() == principal.user);
        match principal.scope {
            TokenScope::User if is_known => {}
            TokenScope::User => {
                *held = Some(users.take(&principal.user).ok_or_else(|| full(users))?);
            }
            TokenScope::Service | TokenScope::Admin => *held = None,
        }
        self.permit.borrow_mut().take();
        Ok(())
    }

    /// Notes that the connection is for no user, as a balancer's is between two requests.
    pub(super) fn forget_user(&self) {
        self.user.borrow_mut().take();
    }

    /// Ends the connection after an answer that leaves it without a token. A permit without a token
    /// is for one request; otherwise a client that asks again and again would keep it without end.
    pub(super) fn bound<B>(&self, mut response: Response<B>) -> Response<B> {
        let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !goes_on && self.permit.borrow().is_some() {
            end_after(&mut response);
        }
        response
    }

    /// Returns the permit for a connection without a token, if no token was shown.
    pub(super) fn into_permit(self) -> Option<HandshakePermit> {
        self.permit.into_inner()
    }
}

fn full(users: &KeyedPermits<UserId>) -> Problem {
    let max = users.max();
    let detail = format!(
        "{max} HTTP connections of the user are open here, as many as \
         `limits.http_connections_per_user` allows"
    );
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::LimitReached, detail);
    problem.retry_after(FULL_PAUSE).closing()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::header::CONNECTION;

    use super::*;
    use crate::auth::Grants;
    use crate::limiter::{ConnectionBounds, ConnectionPermit, Connections};

    const BOUNDS: ConnectionBounds = ConnectionBounds { connections: 9, handshakes: 9, ending: 1 };

    fn principal(user: &str, scope: TokenScope) -> Principal {
        let user = UserId::parse(user).unwrap();
        let [publish, subscribe] = [(); 2].map(|()| Grants::new(Vec::new()));
        Principal { user, scope, publish, subscribe, expires_at: 0 }
    }

    fn begin() -> (ConnectionPermit, Handshake) {
        let connections = Arc::new(Connections::new(BOUNDS, Arc::default()));
        let admitted = connections.admit(Some(Ipv4Addr::LOCALHOST.into())).unwrap();
        (admitted.connection, Handshake::new(admitted.handshake))
    }

    #[test]
    fn an_answer_without_a_token_is_the_last() {
        let (_connection, handshake) = begin();
        let closes = |status| {
            let mut response = Response::new(());
            *response.status_mut() = status;
            handshake.bound(response).headers().get(CONNECTION).is_some_and(|it| it == "close")
        };
        assert!(closes(StatusCode::UNAUTHORIZED) && closes(StatusCode::NO_CONTENT));
        assert!(!closes(StatusCode::SWITCHING_PROTOCOLS), "a socket sends hello next");
        handshake.identify(&principal("a", TokenScope::User), &KeyedPermits::new(1)).unwrap();
        assert!(!closes(StatusCode::UNAUTHORIZED), "it showed one before");
        assert!(handshake.into_permit().is_none(), "the permit was given back");
    }

    #[test]
    fn a_connection_belongs_to_the_user_who_asked_last() {
        let users = KeyedPermits::new(1);
        let ([_first, _second], [first, second]) = {
            let (one, two) = (begin(), begin());
            ([one.0, two.0], [one.1, two.1])
        };
        let [alice, bob] = ["alice", "bob"].map(|user| principal(user, TokenScope::User));
        first.identify(&alice, &users).unwrap();
        first.identify(&alice, &users).unwrap();
        assert!(second.identify(&alice, &users).is_err());
        assert!(second.into_permit().is_some(), "a refused token does not count as shown");
        first.identify(&bob, &users).unwrap();
        assert!(users.take(&alice.user).is_some(), "alice has hers back");
        first.identify(&principal("alice", TokenScope::Service), &users).unwrap();
        assert!(users.take(&bob.user).is_some(), "a service needs none");
    }
}
