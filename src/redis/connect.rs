//! How a connection to a Redis is made.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ConnectionAddr, PushInfo, PushKind};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::address::RedisAddress;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::server::ServerInfo;

/// Commands that may wait inside the client for the socket: batches are few and large.
const PIPELINE_BUFFER: usize = 64;

/// How long to wait for the message of a server that takes no more clients.
const SAID_WITHIN: Duration = Duration::from_millis(200);

/// Most bytes of that message.
const SAID_BYTES_MAX: usize = 256;

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
    address: &RedisAddress,
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
    let began = Instant::now();
    let client = match timeout(options.connect, address.resolve(options)).await {
        Err(_elapsed) => return Err(ConnectError::Timeout(options.connect)),
        Ok(client) => client?,
    };
    let attempt = async {
        let mut commands = address.open(&client, options, config).await?;
        let server = ServerInfo::read(&mut commands).await?;
        Ok::<_, ConnectError>(RedisConnection { commands, server, closed })
    };
    let connection = match timeout_at(began + options.connect, attempt).await {
        Err(_elapsed) => return Err(address.late(options.connect)),
        Ok(Err(error)) => return Err(said_at_once(&client).await.unwrap_or(error)),
        Ok(Ok(connection)) => connection,
    };
    connection.server.check()?;
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
    timeout(SAID_WITHIN, listen).await.ok().flatten()
}
