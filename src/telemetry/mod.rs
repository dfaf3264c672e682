//! Logs and metrics.

mod logging;
mod metrics;
mod store;

pub use logging::{LogFormat, init_logging};
pub use metrics::{Limited, Metrics, PublishOutcome, Received, SendOutcome};
pub use store::StoreFigures;
