//! A connection's place among those that have shown no token.

use std::cell::RefCell;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

/// A connection's place among those that have shown no token, until it has.
#[derive(Debug)]
pub(super) struct Handshake(RefCell<Option<OwnedSemaphorePermit>>);

impl Handshake {
    pub(super) const fn new(place: OwnedSemaphorePermit) -> Self {
        Self(RefCell::new(Some(place)))
    }

    /// A token was shown: the connection counts among all connections alone.
    pub(super) fn over(&self) {
        self.0.borrow_mut().take();
    }

    /// Lets the connection end behind an answer that leaves it without a token: a place is good for
    /// one request, or whoever asks again and again would keep it for ever.
    pub(super) fn bound<B>(&self, mut response: Response<B>) -> Response<B> {
        let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !goes_on && self.0.borrow().is_some() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use tokio::sync::Semaphore;

    #[test]
    fn an_answer_without_a_token_is_the_last() {
        let places = Arc::new(Semaphore::new(1));
        let handshake = Handshake::new(Arc::clone(&places).try_acquire_owned().unwrap());
        let closes = |status| {
            let mut response = Response::new(());
            *response.status_mut() = status;
            handshake.bound(response).headers().get(CONNECTION).is_some_and(|it| it == "close")
        };
        assert!(closes(StatusCode::UNAUTHORIZED) && closes(StatusCode::NO_CONTENT));
        assert!(!closes(StatusCode::SWITCHING_PROTOCOLS), "a socket says hello next");
        handshake.over();
        assert!(!closes(StatusCode::UNAUTHORIZED), "it has shown one before");
        assert_eq!(places.available_permits(), 1);
    }
}
