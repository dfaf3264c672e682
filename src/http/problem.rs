//! Errors over HTTP: problem documents of RFC 9457, with the code and the retry of frames.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::protocol::{Code, ErrorReply, Retry, whole_millis};

/// The status of each code.
const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::UnknownOp => StatusCode::BAD_REQUEST,
        Code::Unauthorized | Code::TokenExpired => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::LimitReached | Code::NonceReused => StatusCode::CONFLICT,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // The request may have been carried out: the answer did not come in time.
        Code::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: Code,
    retry: Retry,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: Code,
    retry: Retry,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<ErrorReply> for Problem {
    fn from(refusal: ErrorReply) -> Self {
        let ErrorReply { code, message, retry_after, .. } = refusal;
        let problem = Self::new(status_of(code), code, message);
        match retry_after {
            Some(wait) => problem.retry_after(wait),
            None => problem,
        }
    }
}

impl Problem {
    /// Makes a problem whose status is more specific than its code.
    pub(super) fn new(
        status: StatusCode,
        code: Code,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (retry, headers) = (code.retry(), Vec::new());
        Self { status, code, retry, detail: detail.into(), retry_after: None, headers }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds when to try again: in whole seconds in the header, in milliseconds in the document.
    /// Both are rounded up, so that a client that waits for so long does not come too early.
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry = Retry::Later;
        self.retry_after = Some(wait);
        let seconds = wait.as_micros().div_ceil(1_000_000) as u64;
        self.with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Ends the connection after the answer: nothing more is read from it.
    pub(super) fn closing(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// Returns the answer.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            retry: self.retry,
            retry_after_ms: self.retry_after.map(whole_millis),
        };
        let mut response = json_as("application/problem+json", self.status, &document);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Ends the connection after an answer.
pub(super) fn end_after<B>(response: &mut Response<B>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Makes an answer of a JSON document.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response<Full<Bytes>> {
    json_as("application/json", status, document)
}

fn json_as(
    content_type: &'static str,
    status: StatusCode,
    document: &impl Serialize,
) -> Response<Full<Bytes>> {
    let text = serde_json::to_string(document);
    let text = text.expect("documents have string keys and finite numbers");
    body(status, content_type, text)
}

/// Makes an answer with a body of this type.
pub(super) fn body(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use hyper::header::HeaderMap;

    async fn document(problem: Problem) -> (StatusCode, HeaderMap, String) {
        let (head, body) = problem.response().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn golden_document() {
        let refusal = ErrorReply::new(Code::NotFound, "no \"such\" room");
        let (status, headers, text) = document(Problem::from(refusal)).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        let golden = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no \"such\" room","code":"not_found","retry":"never"}"#;
        assert_eq!(text, golden);
    }

    #[tokio::test]
    async fn what_passes_says_when() {
        let problem = Problem::new(StatusCode::TOO_EARLY, Code::BadRequest, "early");
        let (_, headers, text) = document(problem.retry_after(Duration::from_secs(3))).await;
        assert_eq!(headers[RETRY_AFTER], "3");
        let end = r#""code":"bad_request","retry":"later","retry_after_ms":3000}"#;
        assert!(text.ends_with(end), "{text}");
        let refusal = ErrorReply::rate_limited("often", Duration::from_micros(17_001));
        let (_, headers, text) = document(Problem::from(refusal)).await;
        assert_eq!(headers[RETRY_AFTER], "1");
        assert!(text.ends_with(r#""retry":"later","retry_after_ms":18}"#), "{text}");
    }
}
