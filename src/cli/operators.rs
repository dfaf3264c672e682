//! `--from`: the operators' listeners that a command reads.

use super::CliFailure;
use crate::monitor::OperatorUrl;

/// Reads the URLs.
pub(super) fn operator_urls(given: &[String]) -> Result<Vec<OperatorUrl>, CliFailure> {
    let wrong = |error| CliFailure::Usage(format!("--from: {error}"));
    given.iter().map(|url| url.parse().map_err(wrong)).collect()
}
