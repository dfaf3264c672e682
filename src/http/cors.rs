//! Requests from browsers' pages of other origins (the Fetch standard, section 3.3).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderMap, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{Method, Response, StatusCode};

use crate::protocol::{Code, ErrorReply};

/// Request headers that a page may set.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key";

/// Response headers that a page may read, beyond those that it always may.
const EXPOSED_HEADERS: &str = "retry-after, allow, idempotent-replayed";

/// Seconds for which a browser may remember the answer to a preflight. Origins change with a
/// restart.
const MAX_AGE: &str = "600";

/// The origins that may connect.
#[derive(Debug, Clone)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    /// Allows these origins; `*` is any.
    pub(super) const fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// Whether a request comes from an allowed origin. One without an origin does not come from a
    /// browser.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        headers.get_all(ORIGIN).iter().all(|origin| self.allows(origin))
    }

    /// Returns the error for other origins.
    pub(super) fn refusal() -> ErrorReply {
        let message = "this origin may not connect: `listen.origins` does not name it";
        ErrorReply::new(Code::Forbidden, message)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|known| known == "*" || known.as_bytes() == origin.as_bytes())
    }

    /// Lets the page that sent a request read the answer.
    pub(super) fn dress(&self, origin: Option<&HeaderValue>, answer: &mut Response<Full<Bytes>>) {
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return };
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
}

/// Returns what may be done with a path: the answer to OPTIONS, including a browser's preflight.
pub(super) fn options(allowed: &[&'static Method]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = list(allowed);
    headers.insert(ALLOW, methods.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    response
}

/// Returns the methods as the value of one header.
pub(super) fn list(methods: &[&'static Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods are visible ASCII")
}
