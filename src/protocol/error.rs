//! Errors that leave the connection open.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::frame::{RequestId, ServerFrame};

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The frame is malformed; the message names the field.
    BadRequest,
    /// No such op.
    UnknownOp,
    /// The token is missing or not accepted.
    Unauthorized,
    /// The caller may not do that.
    Forbidden,
    /// It is not there, or not the caller's: the same answer.
    NotFound,
    /// Over a bound of size.
    TooLarge,
    /// The nonce was used for something else.
    NonceReused,
    /// Too much in too short a time.
    RateLimited,
    /// It may have happened, and may still surface.
    OutcomeUnknown,
    /// Not now.
    Unavailable,
    /// Over a bound of number.
    LimitReached,
    /// A defect of the server.
    Internal,
}

/// Whether and how to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It would fail again.
    Never,
    /// The same request, later.
    Later,
    /// The same request with the same nonce, so that it is shown once.
    SameNonce,
}

impl Code {
    /// The retry that fits the code.
    pub const fn retry(self) -> Retry {
        match self {
            Self::RateLimited | Self::Unavailable | Self::LimitReached | Self::Internal => {
                Retry::Later
            }
            Self::OutcomeUnknown => Retry::SameNonce,
            _ => Retry::Never,
        }
    }
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong.
    pub code: Code,
    /// The same for people: the field, the bound and the value.
    pub message: Cow<'static, str>,
    /// When the same request would be taken; none if nobody knows.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Too much in too short a time.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimited, message) }
    }

    /// The frame that tells it. The time is in whole milliseconds, rounded up: who waits for so
    /// long does not come too early.
    pub fn frame<'a>(&'a self, id: Option<&'a RequestId>) -> ServerFrame<'a> {
        let millis = |time: Duration| time.as_micros().div_ceil(1000) as u64;
        ServerFrame::Error {
            id,
            code: self.code,
            message: &self.message,
            retry: self.code.retry(),
            retry_after_ms: self.retry_after.map(millis),
        }
    }

    /// A malformed frame.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// The same refusal, with the op that it belongs to in front.
    #[must_use]
    pub fn of_op(self, op: &str) -> Self {
        Self { message: format!("{op}: {}", self.message).into(), ..self }
    }
}
