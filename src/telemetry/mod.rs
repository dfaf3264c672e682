//! Logs and metrics.

mod clock;
mod dropped;
mod lines;
mod logging;
mod metrics;
mod store;
mod throttle;

pub use clock::ClockFigures;
pub use dropped::Dropped;
pub use logging::{LogFormat, check_filter, flush_errors, init_logging, report_panics, say_error};
pub use metrics::{Limited, Metrics, PublishOutcome, Received, SendOutcome};
pub use store::StoreFigures;
pub use throttle::LogThrottle;
