//! The body of a request, bounded in bytes and in time.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::timeout;

use super::problem::Problem;
use crate::clock::Readable;
use crate::protocol::{Code, ErrorReply};

const JSON: &str = "application/json";

/// How large and how slow a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct IntakeBounds {
    /// In bytes.
    pub(super) bytes: usize,
    /// From the end of the header to the end of the body.
    pub(super) time: Duration,
}

/// Reads a body of JSON text; a missing one is an empty text. One that announces too much is
/// refused before anything of it is read, and its sender gets no `100 Continue`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    bounds: IntakeBounds,
) -> Result<String, Problem> {
    if body.is_end_stream() {
        return Ok(String::new());
    }
    check_type(headers)?;
    if let Some(bytes) = body.size_hint().exact().filter(|bytes| *bytes > bounds.bytes as u64) {
        return Err(too_large(&format!("has {bytes} bytes"), bounds.bytes));
    }
    let collected = timeout(bounds.time, Limited::new(body, bounds.bytes).collect());
    let collected = collected.await.map_err(|_elapsed| late(bounds.time))?;
    let bytes = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large("has more bytes", bounds.bytes)
        } else {
            malformed(format!("the body cannot be read: {error}")).closing()
        }
    })?;
    String::from_utf8(bytes.to_bytes().into())
        .map_err(|error| malformed(format!("the body is not UTF-8: {}", error.utf8_error())))
}

/// Refuses a body for a route that has none.
pub(super) fn refuse(body: &Incoming) -> Result<(), Problem> {
    if body.is_end_stream() {
        return Ok(());
    }
    Err(malformed("the body: this request must not have one").closing())
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.map(|value| value.split(';').next().unwrap_or_default().trim());
    let found = match media {
        Some(media) if media.eq_ignore_ascii_case(JSON) => return Ok(()),
        Some(media) => format!("`{}`", media.chars().take(64).collect::<String>()),
        None => "missing".to_owned(),
    };
    let detail = format!("Content-Type must be `{JSON}`, it is {found}");
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, detail);
    Err(problem.with(ACCEPT, HeaderValue::from_static(JSON)).closing())
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    ErrorReply::bad_request(detail).into()
}

fn too_large(found: &str, max: usize) -> Problem {
    let detail = format!("the body {found}, at most {max} are allowed");
    Problem::from(ErrorReply::new(Code::TooLarge, detail)).closing()
}

fn late(bound: Duration) -> Problem {
    let detail = format!("the body did not arrive within {}", Readable(bound));
    Problem::new(StatusCode::REQUEST_TIMEOUT, Code::Unavailable, detail).closing()
}
