//! Logs and metrics.

mod logging;
mod metrics;

pub use logging::{LogFormat, init_logging};
pub use metrics::{Limited, Metrics, PublishOutcome, Received, SendOutcome};
