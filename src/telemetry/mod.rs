//! Logs and metrics.

mod dropped;
mod format;
mod lines;
mod logging;
mod metrics;
mod node_name;
mod throttle;

pub use dropped::Dropped;
pub use logging::{LogFormat, check_filter, flush_errors, init_logging, report_panics, say_error};
pub use metrics::{
    ClientPermit, DurationHistogram, Limited, Metrics, PublishOutcome, Received, SendOutcome,
    ShardTraffic, StoreFigures, WorkerGauges,
};
pub use node_name::{name_process, name_thread};
pub use throttle::LogThrottle;
