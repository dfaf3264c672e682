//! Errors that leave the connection open.

use std::borrow::Cow;

use serde::Serialize;

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
            Self::Unavailable | Self::LimitReached | Self::Internal => Retry::Later,
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
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
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
