//! Logs and metrics.

mod clock;
mod logging;
mod metrics;
mod store;

pub use clock::ClockFigures;
pub use logging::{LogFormat, init_logging};
pub use metrics::{Limited, Metrics, PublishOutcome, Received, SendOutcome};
pub use store::StoreFigures;
