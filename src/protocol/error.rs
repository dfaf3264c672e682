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
    /// The token has expired.
    TokenExpired,
    /// The caller has no right to do that.
    Forbidden,
    /// It does not exist, or does not belong to the caller: the answer is the same.
    NotFound,
    /// Larger than a limit in bytes.
    TooLarge,
    /// The nonce was used for other content.
    NonceReused,
    /// Too many requests in too short a time.
    RateLimited,
    /// The request may have been carried out, and its result may still appear.
    OutcomeUnknown,
    /// The node cannot do it now.
    Unavailable,
    /// More than a limit on a count.
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

/// A wait in whole milliseconds, rounded up: a client that waits for so long is not too early.
pub const fn whole_millis(wait: Duration) -> u64 {
    wait.as_micros().div_ceil(1000) as u64
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// What went wrong.
    pub code: Code,
    /// The same for humans: the field, the bound and the value.
    pub message: Cow<'static, str>,
    /// The op that is refused, if it is one of a frame.
    pub op: Option<Cow<'static, str>>,
    /// When the same request would be accepted; none if that is not known.
    pub retry_after: Option<Duration>,
}

impl ErrorReply {
    /// Makes a refusal.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), op: None, retry_after: None }
    }

    /// Refuses a request: too many came in too short a time.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimited, message) }
    }

    /// Refuses a request since an earlier one of its session was refused: their order must hold.
    pub fn refused_with_earlier(retry_after: Duration) -> Self {
        let message = format!(
            "an earlier one was refused, and what follows it as well; again in {} ms",
            whole_millis(retry_after)
        );
        Self::rate_limited(message, retry_after)
    }

    /// Refuses a send: the node takes no more of this session.
    pub fn stopping() -> Self {
        Self::new(Code::Unavailable, "the node is being stopped")
    }

    /// The frame of the refusal.
    pub fn frame<'a>(&'a self, id: Option<&'a RequestId>) -> ServerFrame<'a> {
        ServerFrame::Error {
            id,
            about: self.op.as_deref(),
            code: self.code,
            detail: &self.message,
            retry: self.code.retry(),
            retry_after_ms: self.retry_after.map(whole_millis),
        }
    }

    /// Refuses a malformed frame.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// The same refusal, of this op.
    #[must_use]
    pub fn of_op(self, op: impl Into<Cow<'static, str>>) -> Self {
        Self { op: Some(op.into()), ..self }
    }

    /// The same refusal, with the item of a request that it is about in front of the message.
    #[must_use]
    pub fn of_item(self, item: &str) -> Self {
        Self { message: format!("{item}: {}", self.message).into(), ..self }
    }
}
