//! The server side of a WebSocket (RFC 6455) on a plain TCP stream, for one event loop.
//!
//! An idle connection is one task, one small future and the kernel's socket: there is no read
//! buffer, no write buffer and no timer. Bytes are read into a buffer that belongs to the thread.
//! Complete frames are handled in place, and only the start of an unfinished frame is kept. Frames
//! to send wait in a byte-bounded [`Outbox`] that is mostly empty and then owns no memory.
//!
//! | file | owns |
//! | --- | --- |
//! | `listen` | the listener |
//! | `client_address` | the address of a client, and which peers are believed about it |
//! | `proxy_header`, `forwarded_for` | what balancers say about it |
//! | `http_stream` | a stream before its first request |
//! | `accept` | HTTP/1.1 until a request was answered with 101 |
//! | `head` | where a request's head and its body end, and what is wrong with the head |
//! | `requests` | one checked head at a time, and how long it may take |
//! | `write_timeout` | how long a peer may leave an answer unread, during that |
//! | `handshake` | whether a request asks for a WebSocket, and the answer |
//! | `limits`, `close`, `violation` | bounds, close frames, violations of them |
//! | `frame` | scanning one frame at the start of a slice |
//! | `frame_reader` | frames out of reads of any size |
//! | `assembly` | messages out of frames |
//! | `outbox` | the queue towards the peer |
//! | `budget` | the bound on all queues together |
//! | `link` | the shared handle of a connection |
//! | `handler` | what the owner of a connection decides |
//! | `connection`, `closing` | the future, and its last two seconds |
//!
//! Everything here is single-threaded on purpose (`Rc`, `Cell`): it runs in a
//! `tokio::runtime::LocalRuntime` with its I/O and time drivers enabled.

mod accept;
mod assembly;
mod budget;
mod client_address;
mod close;
mod closing;
mod connection;
mod forwarded_for;
mod frame;
mod frame_reader;
mod handler;
mod handshake;
mod head;
mod http_stream;
mod limits;
mod link;
mod listen;
mod outbox;
#[cfg(test)]
mod peer;
mod proxy_header;
mod requests;
mod violation;
mod write_timeout;

pub use accept::{
    HEADER_BYTES_MAX, HEADERS_MAX, HTTP_BUFFER_BYTES_MAX, HttpWaits, serve_heard_http1, serve_http1,
};
pub use assembly::ClientMessage;
pub use budget::{Budget, WorkerShare};
pub use client_address::{ClientAddress, TrustedNetworks};
pub use close::{CloseFrame, code};
pub use closing::{CLOSE_WAIT, DISCARD_BYTES_MAX};
pub use connection::{Connection, End, READ_BYTES_MAX, TURN_BYTES_MAX, TURN_FRAMES_MAX};
pub use forwarded_for::{FORWARDED_HOPS_MAX, forwarded_for};
pub use frame::{FrameHead, Scan, scan};
pub use handler::{Handler, HandlerAction};
pub use handshake::{Accept, UpgradeRejected, check};
pub use http_stream::{HttpStream, NoProxyHeader};
pub use limits::FrameLimits;
pub use link::Link;
pub use listen::listen;
pub use outbox::{Flush, Outbox, OutboxItem, OutboxSink, PONGS_QUEUED_MAX, PushError};
pub use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};
pub use violation::ProtocolViolation;
