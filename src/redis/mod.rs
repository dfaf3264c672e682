//! Everything about Redis: how connections are made, what a server must support, and the only
//! spelling of keys and channels.

mod access;
mod address;
mod channels;
mod connect;
mod error;
mod keys;
mod options;
mod pool;
mod rights;
mod server;
mod url;

pub use access::{RedisAccess, RedisFileError};
pub use address::RedisAddress;
pub use channels::{Channel, Channels};
pub use connect::{RedisConnection, connect};
pub use error::ConnectError;
pub use keys::Keys;
pub use options::ConnectOptions;
pub use pool::{POOL_CONNECTIONS_MAX, Pool, PoolError};
pub use rights::{MissingRights, RightsTrial};
pub use server::{RunId, ServerInfo, UnfitServer};
pub use url::{RedisUrl, RedisUrlError};
