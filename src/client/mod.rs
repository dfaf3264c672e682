//! A client of the protocol, for the commands, the load generator and the tests. [`Client`] sends
//! requests and waits on one connection; [`Device`] keeps a session alive over many.

mod connect;
mod device;
mod http_read;
mod talk;

pub(crate) use connect::connect_as;
pub use connect::{ClientError, FrameSink, FrameSource, Incoming, connect};
pub(crate) use device::{ConnectionLoss, Keepalive, KeepaliveAction, Reconnect};
pub use device::{
    Cursor, Device, DeviceOptions, GapSeen, Nonce, ResumeSeen, Seen, SendOutcomeSeen,
};
pub use http_read::http_get;
pub use talk::Client;

/// What `hello` calls this program.
pub(crate) const CLIENT: &str = concat!("narrowcast/", env!("CARGO_PKG_VERSION"));
