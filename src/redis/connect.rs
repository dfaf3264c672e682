//! How a connection to a Redis is made.

use crate::clock::Readable;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::io::tcp::socket2::TcpKeepalive;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisError,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::server::{MAJOR_MIN, ServerInfo};

/// Commands that may wait inside the client for the socket: batches are few and large.
const PIPELINE_BUFFER: usize = 64;

/// How long to wait for the message of a server that takes no more clients.
const SAID_WITHIN: Duration = Duration::from_millis(200);

/// Most bytes of that message.
const SAID_BYTES_MAX: usize = 256;

/// The bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// How long connecting and the greeting may take, together.
    pub connect: Duration,
    /// How long an idle peer may be silent before the kernel probes it.
    pub keepalive: Duration,
    /// How long sent bytes may stay unacknowledged before the kernel gives up on the peer.
    pub user_timeout: Duration,
}

/// Why there is no connection. No text holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answered in time.
    #[error("no answer within {}", Readable(*.0))]
    Timeout(Duration),
    /// The server or the network refused.
    #[error("{0}")]
    Refused(String),
    /// The server is too old.
    #[error(
        "Redis {found} is too old: sharded publish/subscribe needs version {MAJOR_MIN} or later"
    )]
    TooOld {
        /// The version that it reported.
        found: String,
    },
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// A live connection.
#[derive(Debug, Clone)]
pub struct RedisConnection {
    /// Sends commands.
    pub commands: MultiplexedConnection,
    /// The server that answered, read on this very connection.
    pub server: ServerInfo,
    /// Cancelled once the connection is gone.
    pub closed: CancellationToken,
}

/// Connects by RESP3. `on_push` is called on the connection's own task with every push but
/// disconnections: it must not block.
///
/// There is no timeout per reply. Each caller sets its own, so that a batch needs one timer and not
/// one per command.
pub async fn connect(
    url: &str,
    options: &ConnectOptions,
    on_push: impl Fn(PushInfo) + Send + Sync + 'static,
) -> Result<RedisConnection, ConnectError> {
    let closed = CancellationToken::new();
    let gone = closed.clone();
    let sender = move |info: PushInfo| -> Result<(), ()> {
        match info.kind {
            PushKind::Disconnection => gone.cancel(),
            _ => on_push(info),
        }
        Ok(())
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE_BUFFER)
        .set_push_sender(sender);
    let client = Client::open(connection_info(url, options)?)?;
    let attempt = async {
        let mut commands = client.get_multiplexed_async_connection_with_config(&config).await?;
        let server = ServerInfo::read(&mut commands).await?;
        Ok::<_, ConnectError>(RedisConnection { commands, server, closed })
    };
    let connection = match tokio::time::timeout(options.connect, attempt).await {
        Err(_elapsed) => return Err(ConnectError::Timeout(options.connect)),
        Ok(Err(error)) => return Err(said_at_once(&client).await.unwrap_or(error)),
        Ok(Ok(connection)) => connection,
    };
    if connection.server.is_too_old() {
        return Err(ConnectError::TooOld { found: connection.server.version });
    }
    Ok(connection)
}

/// Reads the error that a server with too many clients sends before any request. The server then
/// closes the connection, so the client itself reports only a broken pipe.
async fn said_at_once(client: &Client) -> Option<ConnectError> {
    let ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else { return None };
    let listen = async {
        let mut stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
        let mut line = vec![0; SAID_BYTES_MAX];
        let read = stream.read(&mut line).await.ok()?;
        let line = String::from_utf8_lossy(&line[..read]);
        let said = line.lines().next()?.strip_prefix('-')?.to_owned();
        Some(ConnectError::Refused(format!("the server answered: {said}")))
    };
    tokio::time::timeout(SAID_WITHIN, listen).await.ok().flatten()
}

/// The address with the socket's options, since the crate sets none of them.
pub(super) fn connection_info(
    url: &str,
    options: &ConnectOptions,
) -> Result<ConnectionInfo, RedisError> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(options.keepalive))
        .set_user_timeout(options.user_timeout);
    let info = url.into_connection_info()?;
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_tcp_settings(tcp).set_redis_settings(redis))
}
