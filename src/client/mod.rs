//! A client of the protocol: for the commands, the load generator and the tests.

mod connect;
mod talk;

pub use connect::{ClientError, Incoming, Reader, Writer, connect};
pub use talk::Client;
