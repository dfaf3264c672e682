//! Logs and metrics.

mod dropped;
mod lines;
mod logging;
mod metrics;
mod throttle;

pub use dropped::Dropped;
pub use logging::{LogFormat, check_filter, flush_errors, init_logging, report_panics, say_error};
pub use metrics::{
    ClientPermit, Limited, Metrics, PublishOutcome, Received, SendOutcome, StoreFigures,
};
pub use throttle::LogThrottle;
