//! A WebSocket to a node, as a reader and a writer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite,
};
use http_body_util::Empty;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::clock::Readable;
use crate::domain::UserId;
use crate::protocol::SUBPROTOCOL;

/// How long connecting and the handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The path of a node's `WebSocket`.
const PATH: &str = "/v1/ws";

/// The largest message that is accepted from a server: a page of history and its frame.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Why a client has no connection any more, or never had one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be a node's.
    #[error("`{0}` is not an address like ws://127.0.0.1:8080")]
    Url(String),
    /// The node cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The node refused the upgrade, or the connection broke.
    #[error("{0}")]
    Socket(#[from] WebSocketError),
    /// Nothing came in time.
    #[error("no answer within {}", Readable(*.0))]
    Timeout(Duration),
    /// The node closed the connection.
    #[error("closed by the node: {code} {reason}")]
    Closed {
        /// The close code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The node sent something that is not part of the protocol.
    #[error("not part of the protocol: {0}")]
    Protocol(String),
    /// Too many sends wait already.
    #[error("{0} sends wait for an answer, as many as may")]
    SendsWaiting(usize),
}

/// What a node sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A frame of the protocol.
    Text(String),
    /// The end of the connection.
    Closed {
        /// The close code, 1005 if there is none.
        code: u16,
        /// The reason.
        reason: String,
    },
}

type Half = WebSocketWrite<WriteHalf<TokioIo<Upgraded>>>;

/// The write half of a connection. Clones share it.
#[derive(Clone)]
pub struct FrameSink {
    half: Arc<Mutex<Half>>,
}

/// The read half of a connection.
pub struct FrameSource {
    frames: FragmentCollectorRead<ReadHalf<TokioIo<Upgraded>>>,
    writer: FrameSink,
}

impl std::fmt::Debug for FrameSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FrameSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Runs the connection's HTTP part, until the upgrade.
struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// Connects to `ws://host:port/path`. An address without a path is that of a node.
pub async fn connect(url: &str) -> Result<(FrameSource, FrameSink), ClientError> {
    connect_as(url, None).await
}

/// Does the same for a user. A balancer may place the connection by the user's id, which the address
/// then names unless it has a query of its own.
pub(crate) async fn connect_as(
    url: &str,
    user: Option<&UserId>,
) -> Result<(FrameSource, FrameSink), ClientError> {
    let (address, request) = request(url, user)?;
    let attempt = async {
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, ClientError>(fastwebsockets::handshake::client(&Spawn, request, stream).await?.0)
    };
    let mut socket = tokio::time::timeout(CONNECT_TIMEOUT, attempt)
        .await
        .map_err(|_elapsed| ClientError::Timeout(CONNECT_TIMEOUT))??;
    socket.set_max_message_size(MESSAGE_BYTES_MAX);
    // The reader answers pings and closes itself. So it knows of every ping, and takes a close as a
    // close even if it cannot be answered.
    socket.set_auto_pong(false);
    socket.set_auto_close(false);
    let (read, write) = socket.split(tokio::io::split);
    let writer = FrameSink { half: Arc::new(Mutex::new(write)) };
    Ok((FrameSource { frames: FragmentCollectorRead::new(read), writer: writer.clone() }, writer))
}

/// Whether the address can be a node's.
pub(super) fn check(url: &str) -> Result<(), ClientError> {
    request(url, None).map(|_| ())
}

fn request(
    url: &str,
    user: Option<&UserId>,
) -> Result<(String, Request<Empty<Bytes>>), ClientError> {
    let bad = || ClientError::Url(url.chars().take(100).collect());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("ws")).ok_or_else(bad)?;
    let address = match authority.port() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:80"),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path == "/" { PATH } else { path };
    let path = match user.filter(|_| uri.query().is_none()) {
        Some(user) => format!("{path}?user={}", query_encoded(user.as_str())),
        None => path.to_owned(),
    };
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header("sec-websocket-key", fastwebsockets::handshake::generate_key())
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", SUBPROTOCOL)
        .body(Empty::new())
        .map_err(|_| bad())?;
    Ok((address, request))
}

/// Percent-encodes a value of a query (RFC 3986, section 2.3).
fn query_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'-' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

impl FrameSink {
    /// Sends a text.
    pub async fn send(&self, text: &str) -> Result<(), ClientError> {
        self.write(Frame::text(Payload::Borrowed(text.as_bytes()))).await
    }

    /// Sends a close frame.
    pub async fn close(&self) -> Result<(), ClientError> {
        self.write(Frame::close(1000, b"")).await
    }

    async fn write(&self, frame: Frame<'_>) -> Result<(), ClientError> {
        Ok(self.half.lock().await.write_frame(frame).await?)
    }
}

impl FrameSource {
    /// Returns the next text, or the end. Not cancel-safe: a dropped future may lose a part of a
    /// message.
    pub async fn next(&mut self) -> Result<Incoming, ClientError> {
        loop {
            if let Some(incoming) = self.step().await? {
                return Ok(incoming);
            }
        }
    }

    /// As [`Self::next`], but a frame without content, such as a ping, gives none.
    pub(crate) async fn step(&mut self) -> Result<Option<Incoming>, ClientError> {
        let mut unasked = |_: Frame<'_>| std::future::ready(Ok::<_, Infallible>(()));
        let frame = self.frames.read_frame(&mut unasked).await?;
        match frame.opcode {
            OpCode::Text => {
                let text = String::from_utf8(frame.payload.to_vec());
                text.map(|text| Some(Incoming::Text(text)))
                    .map_err(|_| WebSocketError::InvalidUTF8.into())
            }
            OpCode::Ping => {
                self.writer.write(Frame::pong(frame.payload)).await?;
                Ok(None)
            }
            OpCode::Close => {
                let incoming = closed(&frame.payload);
                // The node may be gone already.
                let _answered = self.writer.write(Frame::close_raw(frame.payload)).await;
                Ok(Some(incoming))
            }
            _ => Ok(None),
        }
    }
}

fn closed(payload: &[u8]) -> Incoming {
    const ABSENT: u16 = 1005;
    match payload {
        [high, low, reason @ ..] => Incoming::Closed {
            code: u16::from_be_bytes([*high, *low]),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        _ => Incoming::Closed { code: ABSENT, reason: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str, user: Option<&str>) -> String {
        let user = user.map(|raw| UserId::from_raw(raw.as_bytes()).expect("an id"));
        let (_, request) = request(url, user.as_ref()).expect("an address");
        request.uri().to_string()
    }

    #[test]
    fn the_address_names_the_user_where_it_has_no_query() {
        let node = "ws://127.0.0.1:8080";
        assert_eq!(path(node, None), "/v1/ws");
        assert_eq!(path(node, Some("alice")), "/v1/ws?user=alice");
        let encoded = "/v1/ws?user=bob%2B1%40example%252Ecom";
        assert_eq!(path(&format!("{node}/v1/ws"), Some("bob+1@example.com")), encoded);
        assert_eq!(path(&format!("{node}/ws?user=x"), Some("alice")), "/ws?user=x");
    }
}
