//! Logs and metrics.

mod logging;
mod metrics;

pub use logging::{LogFormat, init_logging};
pub use metrics::{Metrics, PublishOutcome, Received, SendOutcome};
