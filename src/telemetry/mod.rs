//! Logs and metrics.

mod clock;
mod lines;
mod logging;
mod metrics;
mod store;

pub use clock::ClockFigures;
pub use logging::{LogFormat, flush_errors, init_logging, report_panics, say_error};
pub use metrics::{Limited, Metrics, PublishOutcome, Received, SendOutcome};
pub use store::StoreFigures;
