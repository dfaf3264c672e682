//! What a limiter returns.

use std::fmt;
use std::time::Duration;

use super::{RateLimit, UserRate};
use crate::protocol::{Code, ErrorReply};

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    /// All its policies were charged.
    Allowed {
        /// Calls of cost 1 that would fit after it, under the tightest policy.
        remaining: u64,
    },
    /// Nothing was charged.
    Refused(RateLimited),
}

/// A call that was refused. If several policies refuse it, this is the one that does so for
/// longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// The policy that refuses it.
    pub policy: RateLimit,
    /// When it would be allowed if no other call comes, in whole milliseconds, rounded up. None if
    /// it never would, because it costs more than the burst.
    pub retry_after: Option<Duration>,
}

impl RateLimited {
    pub(super) const fn after_micros(policy: RateLimit, micros: u64) -> Self {
        Self { policy, retry_after: Some(Duration::from_millis(micros.div_ceil(1000))) }
    }

    pub(super) const fn never(policy: RateLimit) -> Self {
        Self { policy, retry_after: None }
    }

    /// Returns whether it is the limit of a user that refuses the call.
    pub fn is_of(&self, rate: UserRate) -> bool {
        self.policy.name == rate.name()
    }

    /// Returns the error for the client.
    pub fn refusal(&self) -> ErrorReply {
        match self.retry_after {
            Some(retry_after) => ErrorReply::rate_limited(self.to_string(), retry_after),
            None => ErrorReply::new(Code::TooLarge, self.to_string()),
        }
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            Some(wait) => write!(f, "{}; again in {} ms", self.policy, wait.as_millis()),
            None => write!(f, "{}; this costs more than that", self.policy),
        }
    }
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// Too many calls wait.
    #[error("{0} calls wait already")]
    Full(usize),
    /// The shard did not answer in time, or was given up on a moment ago.
    #[error("the shard does not answer")]
    Unavailable,
    /// It answered with an error: a key of another type, a replica, no memory.
    #[error("the shard refused: {0}")]
    Refused(String),
    /// Its answer is not a decision.
    #[error("the shard's answer is not a decision: {0}")]
    Malformed(String),
}
