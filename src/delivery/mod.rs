//! From the bus to the workers whose sessions want it.

mod command;
mod dispatcher;
mod inbox;
mod inboxes;
mod push;
mod wants;

pub use command::{Command, Report, RoundPart};
pub use dispatcher::Dispatcher;
pub use inbox::{Inbox, Work};
pub use inboxes::Inboxes;
pub use push::{Push, Via};
pub use wants::{WORKERS_MAX, Wants};
