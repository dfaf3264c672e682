//! From the bus to the workers whose sessions want it.

mod command;
mod dispatcher;
mod queued_publish;
mod worker_interest;
mod worker_queue;
mod worker_queues;

pub use command::{Report, RoundPart, WorkerCommand};
pub use dispatcher::Dispatcher;
pub use queued_publish::{CopyKind, QueuedPublish};
pub use worker_interest::{WORKERS_MAX, WorkerInterest};
pub use worker_queue::{Work, WorkerQueue};
pub use worker_queues::WorkerQueues;
