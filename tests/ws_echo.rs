//! A WebSocket echo server on Narrowcast's own socket, for conformance suites and by hand:
//! `cargo run --example ws_echo -- --listen 127.0.0.1:9001`.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use narrowcast::socket::{
    ClientMessage, CloseFrame, Connection, FrameLimits, Handler, HandlerAction, HttpWaits, Link,
    OutboxItem, WorkerShare, check, serve_http1,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;

/// How long a client may take over its request, and leave the answer unread.
const WAITS: HttpWaits = HttpWaits {
    header: Duration::from_secs(10),
    keep_alive: Duration::from_secs(10),
    write_stall: Duration::from_secs(10),
};

/// Bytes of echoes above which a client's messages wait until it has read them.
const HIGH_WATER_BYTES: usize = 64 * 1024;

/// Room in the outbox for headers and pongs beside the echoes.
const CONTROL_BYTES: usize = 8 * 1024;

/// Answers every message with itself.
#[derive(Clone, Copy, Debug, Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Bytes of one message, and of one frame.
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    max_message: u32,
    /// Frames of one message.
    #[arg(long, default_value_t = 1024)]
    max_fragments: u32,
}

impl Args {
    fn limits(&self) -> FrameLimits {
        let (bytes, fragments) = (self.max_message, self.max_fragments);
        FrameLimits { frame_bytes: bytes, message_bytes: bytes, fragments }
    }

    /// What is below the high-water mark, and one more message: an echo always finds room.
    fn outbox_bytes(&self) -> usize {
        HIGH_WATER_BYTES + CONTROL_BYTES + self.max_message as usize
    }
}

struct Echo {
    link: Rc<Link>,
}

impl Handler for Echo {
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction {
        let echo = match message {
            ClientMessage::Text(text) => OutboxItem::Text(Bytes::copy_from_slice(text.as_bytes())),
            ClientMessage::Binary(bytes) => OutboxItem::Binary(Bytes::copy_from_slice(bytes)),
        };
        match self.link.push(echo) {
            Err(error) => HandlerAction::Close(CloseFrame::new(1011, error.to_string())),
            Ok(()) if self.link.bytes() >= HIGH_WATER_BYTES => HandlerAction::Drain,
            Ok(()) => HandlerAction::Continue,
        }
    }

    fn other(&mut self, _bytes: usize) -> HandlerAction {
        HandlerAction::Continue
    }
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(listen(args))
}

async fn listen(args: Args) -> io::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(serve(stream, args));
    }
}

async fn serve(stream: TcpStream, args: Args) {
    let served = serve_http1(stream, WAITS, async |request| match check(&request, &[]) {
        Ok(accept) => accept.response(),
        Err(refusal) => refusal.response(),
    });
    match served.await {
        Ok(Some((stream, unread))) => echo(stream, &unread, args),
        Ok(None) => {}
        Err(error) => eprintln!("http: {error}"),
    }
}

fn echo(stream: TcpStream, unread: &[u8], args: Args) {
    let (link, read) =
        Link::open(stream, args.outbox_bytes(), &Rc::new(WorkerShare::alone(usize::MAX)));
    let handler = Echo { link: link.clone() };
    spawn_local(Connection::new(read, link, args.limits(), handler, unread));
}
