//! How long the load waits for a node.

use std::time::Duration;

use super::error::BenchError;

/// How long a node may take to accept a connection, or to answer a request. A loaded node answers
/// within seconds; a longer silence is a node that stands still.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for an answer of `server`, for [`ANSWER_TIMEOUT`] at most.
pub(super) async fn answer_in_time<T>(
    server: &str,
    answer: impl Future<Output = T>,
) -> Result<T, BenchError> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_elapsed| {
        let seconds = ANSWER_TIMEOUT.as_secs();
        BenchError::Answer(format!("{server}: no answer within {seconds} s"))
    })
}
