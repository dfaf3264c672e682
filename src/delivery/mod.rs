//! From the bus to the workers whose sessions want it.

mod dispatcher;
mod inbox;
mod push;
mod wants;

pub use dispatcher::Dispatcher;
pub use inbox::Inbox;
pub use push::Push;
pub use wants::{WORKERS_MAX, Wants};
