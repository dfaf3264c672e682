//! What the attempts of one write may have done.
//!
//! The driver's error of a request is that of its *last* attempt. A retry or a speculative
//! execution may have hidden an earlier attempt that was applied. So every attempt counts as
//! doubtful when it is sent, and no longer once it is answered by a refusal. The attempts left at
//! the end decide whether "nothing was written" is the truth. This is exact, so the driver's own
//! retries and speculative executions may stay on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use scylla::errors::{RequestAttemptError, RequestError};
use scylla::observability::history::{AttemptId, HistoryListener, RequestId, SpeculativeId};
use scylla::policies::retry::RetryDecision;

use super::error::was_refused;

/// The attempts of one write.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    doubtful: AtomicUsize,
}

impl Attempts {
    /// Whether no attempt can have been applied.
    pub(super) fn were_all_refused(&self) -> bool {
        self.doubtful.load(Ordering::Acquire) == 0
    }
}

/// The ids are not needed: one listener serves one request.
impl HistoryListener for Attempts {
    fn log_request_start(&self) -> RequestId {
        RequestId(0)
    }

    fn log_request_success(&self, _request: RequestId) {}

    fn log_request_error(&self, _request: RequestId, _error: &RequestError) {}

    fn log_new_speculative_fiber(&self, _request: RequestId) -> SpeculativeId {
        SpeculativeId(0)
    }

    fn log_attempt_start(
        &self,
        _request: RequestId,
        _speculative: Option<SpeculativeId>,
        _node: SocketAddr,
    ) -> AttemptId {
        AttemptId(self.doubtful.fetch_add(1, Ordering::AcqRel))
    }

    fn log_attempt_success(&self, _attempt: AttemptId) {}

    fn log_attempt_error(
        &self,
        _attempt: AttemptId,
        error: &RequestAttemptError,
        _decision: &RetryDecision,
    ) {
        if was_refused(error) {
            self.doubtful.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::DbError;

    #[test]
    fn one_doubtful_attempt_is_not_forgotten() {
        let attempts = Attempts::default();
        assert!(attempts.were_all_refused(), "none was made");
        let begin =
            || attempts.log_attempt_start(RequestId(0), None, "127.0.0.1:9042".parse().unwrap());
        let end = |attempt, error| {
            let error = RequestAttemptError::DbError(error, String::new());
            attempts.log_attempt_error(attempt, &error, &RetryDecision::DontRetry);
        };
        let (one, two) = (begin(), begin());
        assert!(!attempts.were_all_refused(), "they are under way");
        end(one, DbError::Overloaded);
        assert!(!attempts.were_all_refused());
        end(two, DbError::Overloaded);
        assert!(attempts.were_all_refused());
        end(begin(), DbError::ServerError);
        end(begin(), DbError::Overloaded);
        assert!(!attempts.were_all_refused(), "the error of the last attempt hides it");
    }
}
