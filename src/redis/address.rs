//! Where a Redis is, and how to get in.

use std::fmt;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::io::tcp::socket2::TcpKeepalive;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo,
};
use bb8::ManageConnection;
use bb8_redis::RedisConnectionManager;
use socket2::{SockRef, TcpKeepalive as Keepalive};
use tokio::net::TcpStream;

use super::access::RedisAccess;
use super::endpoint::Endpoint;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::url::RedisUrl;
use crate::tls::{self, TlsError};

/// Where a Redis is, and how to get in. It is asked at every connection, so an answer may differ
/// from the one before.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    url: RedisUrl,
    access: RedisAccess,
}

impl RedisAddress {
    /// The server of a URL, and what else it asks for.
    pub const fn new(url: RedisUrl, access: RedisAccess) -> Self {
        Self { url, access }
    }

    /// What it needs beyond its URL.
    pub const fn access(&self) -> &RedisAccess {
        &self.access
    }

    /// Whether its connections have TLS.
    pub fn is_encrypted(&self) -> bool {
        self.url.is_encrypted()
    }

    /// The server that the address means, without user and database: publish/subscribe ignores
    /// both. Two addresses with one of these are one server.
    pub fn server(&self) -> String {
        self.url.server()
    }

    /// Returns the address of another server that one gets into in the same way.
    pub(super) fn at(&self, endpoint: &Endpoint) -> Self {
        Self { url: self.url.at(endpoint), access: self.access.clone() }
    }

    /// Returns what of the address is secret, as its configuration spells it.
    pub fn secret(&self) -> Option<&[u8]> {
        self.url.has_password().then(|| self.url.expose().as_bytes())
    }

    /// Returns what it means that no answer came in time.
    pub(super) fn late(&self, bound: Duration) -> ConnectError {
        if self.url.is_encrypted() {
            ConnectError::SilentTls(bound)
        } else {
            ConnectError::Timeout(bound)
        }
    }

    /// Returns a client for one connection, by what holds now.
    pub(super) async fn resolve(&self, options: &ConnectOptions) -> Result<Client, ConnectError> {
        // The crate sets none of these.
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(options.keepalive))
            .set_user_timeout(options.user_timeout);
        let info = self.url.expose().into_connection_info()?;
        let login = self.login(info.redis_settings().clone()).await?;
        Ok(Client::open(info.set_tcp_settings(tcp).set_redis_settings(login))?)
    }

    /// Connects and logs in. `client` is what [`Self::resolve`] answered.
    pub(super) async fn open(
        &self,
        client: &Client,
        options: &ConnectOptions,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let info = client.get_connection_info();
        let ConnectionAddr::TcpTls { host, port, .. } = info.addr() else {
            return Ok(client.get_multiplexed_async_connection_with_config(&config).await?);
        };
        // Not the crate's own TLS: it has no other name of the server, and it reads the system's
        // authorities on the event loop at every connection.
        let stream = tcp_stream(host, *port, options).await.map_err(TlsError::Handshake)?;
        let name = self.access.server_name.as_deref().unwrap_or(host);
        let encrypted = tls::handshake(self.access.tls_files(), name, stream).await;
        let stream = encrypted.map_err(|error| match error {
            TlsError::File(error) => self.access.of_tls(error).into(),
            other @ TlsError::Handshake(_) => ConnectError::from(other),
        })?;
        let login = info.redis_settings();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(login, stream, config).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// The same for commands alone: by the stock manager of pools, unless the connection is
    /// encrypted. The caller sets how long an answer may take.
    pub(super) async fn open_for_commands(
        &self,
        client: &Client,
        options: &ConnectOptions,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let info = client.get_connection_info();
        if let ConnectionAddr::TcpTls { .. } = info.addr() {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(options.connect))
                .set_response_timeout(None);
            return self.open(client, options, config).await;
        }
        Ok(RedisConnectionManager::new(info.clone())?.connect().await?)
    }

    /// Adds the user and the password that stand beside the URL.
    async fn login(&self, login: RedisConnectionInfo) -> Result<RedisConnectionInfo, ConnectError> {
        let mut login = login.set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &self.access.username {
            login = login.set_username(user);
        }
        if self.access.password_file.is_some() {
            let access = self.access.clone();
            let read = tokio::task::spawn_blocking(move || access.password()).await;
            let password = read.map_err(|error| ConnectError::Refused(error.to_string()))??;
            login = login.set_password(password.unwrap_or_default());
        }
        Ok(login)
    }
}

async fn tcp_stream(host: &str, port: u16, options: &ConnectOptions) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&Keepalive::new().with_time(options.keepalive))?;
    socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    Ok(stream)
}

impl From<RedisUrl> for RedisAddress {
    fn from(url: RedisUrl) -> Self {
        Self::new(url, RedisAccess::default())
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAddress").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The URL as it is configured, with its password masked.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}
