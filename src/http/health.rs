//! `/healthz` and `/readyz`: the node's health, for load balancers and monitors.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::problem::{Problem, body, json};
use crate::health::{Readiness, ReadyState};
use crate::protocol::Code;

/// The methods of a path that can only be read.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Who asks, which decides how much the answer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The operator. The answer has the reasons too, which name shards and files.
    Operator,
    /// A client of the clients' listener. The answer has the status alone.
    Anybody,
}

/// Answers a request for the node's health; none if the path is another.
pub(super) fn answer(
    method: &Method,
    path: &str,
    readiness: &Readiness,
    asker: Asker,
) -> Option<Response<Full<Bytes>>> {
    let look = match path {
        "/healthz" => || body(StatusCode::OK, "text/plain", "ok\n"),
        "/readyz" => return Some(looked_at(method, || ready(readiness, asker))),
        _ => return None,
    };
    Some(looked_at(method, look))
}

/// Answers GET and HEAD by `look` and OPTIONS by the methods, and refuses all others. The
/// connection omits the body of an answer to HEAD.
pub(super) fn looked_at(
    method: &Method,
    look: impl FnOnce() -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    match *method {
        Method::GET | Method::HEAD => look(),
        Method::OPTIONS => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, ALLOWED);
            response
        }
        _ => {
            let detail = "the path is served by GET, HEAD and OPTIONS";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, detail);
            problem.with(ALLOW, ALLOWED).response()
        }
    }
}

/// Whether balancers should send clients. Degraded still counts as ready: sends are stored, and the
/// load balancer has no better node.
pub(super) const fn is_ready(verdict: ReadyState) -> bool {
    matches!(verdict, ReadyState::Ready | ReadyState::Degraded)
}

/// Returns the readiness.
fn ready(readiness: &Readiness, asker: Asker) -> Response<Full<Bytes>> {
    let (verdict, reasons) = readiness.verdict();
    let status = if is_ready(verdict) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match asker {
        Asker::Operator => {
            json(status, &serde_json::json!({ "status": verdict, "reasons": reasons }))
        }
        Asker::Anybody => json(status, &serde_json::json!({ "status": verdict })),
    }
}
