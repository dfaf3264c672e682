//! Everything about Redis: how connections are made, what a server must support, and the only
//! spelling of keys and channels.

mod access;
mod address;
mod candidates;
mod channels;
mod connect;
mod endpoint;
mod error;
mod keys;
mod options;
mod pool;
mod primary_watch;
mod rights;
mod sentinel_answer;
mod sentinel_group;
mod sentinel_link;
mod sentinel_states;
mod server;
mod shard_address;
mod url;

pub use access::{RedisAccess, RedisFileError};
pub use address::RedisAddress;
pub use channels::{Channel, Channels};
pub use endpoint::Endpoint;
pub use error::ConnectError;
pub use keys::Keys;
pub use options::ConnectOptions;
pub use pool::{POOL_CONNECTIONS_MAX, Pool, PoolError};
pub use primary_watch::PrimaryWatch;
pub use rights::{MissingRights, RightsTrial};
pub use sentinel_group::{SentinelGroup, SentinelOptions};
pub use server::{RunId, ServerInfo, UnfitServer};
pub use shard_address::{ShardAddress, ShardConnection};
pub use url::{RedisUrl, RedisUrlError};
