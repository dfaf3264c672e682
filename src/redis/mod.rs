//! Everything about Redis: how connections are made, what a server must support, and the only
//! spelling of keys and channels.

mod address;
mod channels;
mod connect;
mod error;
mod keys;
mod options;
mod pool;
mod server;
mod url;

pub use address::RedisAddress;
pub use channels::{Channel, Channels};
pub use connect::{RedisConnection, connect};
pub use error::ConnectError;
pub use keys::Keys;
pub use options::ConnectOptions;
pub use pool::{POOL_CONNECTIONS_MAX, Pool, PoolError};
pub use server::{RunId, ServerInfo};
pub use url::{MASKED, RedisUrl, RedisUrlError};
