//! Everything about Redis: how connections are made, what a server must support, and the only
//! spelling of keys and channels.

mod channels;
mod connect;
mod keys;
mod pool;
mod server;
mod url;

pub use channels::{Channel, Channels};
pub use connect::{ConnectError, ConnectOptions, RedisConnection, connect};
pub use keys::Keys;
pub use pool::{POOL_CONNECTIONS_MAX, Pool, PoolError};
pub use server::{RunId, ServerInfo};
pub use url::{MASKED, RedisUrl, RedisUrlError};
