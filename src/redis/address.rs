//! Where a Redis is.

use std::fmt;

use ::redis::io::tcp::TcpSettings;
use ::redis::io::tcp::socket2::TcpKeepalive;
use ::redis::{Client, IntoConnectionInfo, ProtocolVersion};

use super::endpoint::Endpoint;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::url::RedisUrl;

/// Where a Redis is, and how to get in. It is asked at every connection, so an answer may differ
/// from the one before.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    url: RedisUrl,
}

impl RedisAddress {
    /// The server that the address means, without user and database: publish/subscribe ignores
    /// both. Two addresses with one of these are one server.
    pub fn server(&self) -> String {
        self.url.server()
    }

    /// Returns the address of another server that one gets into in the same way.
    pub(super) fn at(&self, endpoint: &Endpoint) -> Self {
        Self { url: self.url.at(endpoint) }
    }

    /// Returns what of the address is secret, as its configuration spells it.
    pub fn secret(&self) -> Option<&[u8]> {
        self.url.has_password().then(|| self.url.expose().as_bytes())
    }

    /// Returns a client for one connection, by what holds now.
    pub(super) async fn resolve(&self, options: &ConnectOptions) -> Result<Client, ConnectError> {
        // The crate sets none of these.
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(options.keepalive))
            .set_user_timeout(options.user_timeout);
        let info = self.url.expose().into_connection_info()?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Client::open(info.set_tcp_settings(tcp).set_redis_settings(redis))?)
    }
}

impl From<RedisUrl> for RedisAddress {
    fn from(url: RedisUrl) -> Self {
        Self { url }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.url, f)
    }
}

/// As it is configured, with its password masked.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}
