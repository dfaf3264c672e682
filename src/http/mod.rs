//! The listeners: clients upgrade to a WebSocket, operators ask how the node is.

mod clients;
mod operator;
mod problem;
mod readiness;

pub use clients::{ClientPort, ClientPortBounds};
pub use operator::serve_operator;
pub use readiness::{Readiness, Verdict};
