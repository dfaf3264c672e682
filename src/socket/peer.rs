//! The client's side of the wire, for tests.

use std::io;

use fastwebsockets::{Frame, OpCode, Payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

const MASK: [u8; 4] = [0x5a, 0x01, 0xf0, 0x33];

/// A masked frame.
pub fn client_frame(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Frame::new(fin, opcode, Some(MASK), Payload::Owned(payload.to_vec()));
    frame.mask();
    let mut bytes = Vec::new();
    let length = frame.write(&mut bytes).len();
    bytes.truncate(length);
    bytes
}

/// A masked text message in one frame.
pub fn text(payload: &str) -> Vec<u8> {
    client_frame(true, OpCode::Text, payload.as_bytes())
}

/// A masked close frame.
pub fn close(code: u16) -> Vec<u8> {
    client_frame(true, OpCode::Close, &code.to_be_bytes())
}

/// Runs `test` on an event loop of the kind the socket is made for.
pub fn on_event_loop<F: Future>(test: F) -> F::Output {
    run(Builder::new_current_thread().enable_all(), test)
}

/// As [`on_event_loop`], with a clock that jumps to the next timer when nothing else can happen.
pub fn on_paused_clock<F: Future>(test: F) -> F::Output {
    run(Builder::new_current_thread().enable_all().start_paused(true), test)
}

fn run<F: Future>(builder: &mut Builder, test: F) -> F::Output {
    builder.build_local(LocalOptions::default()).expect("a runtime").block_on(test)
}

/// A connected pair: the server's stream, and the client.
pub async fn pair() -> (TcpStream, TestPeer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (server.expect("accepted").0, TestPeer { stream: client.expect("connected") })
}

/// A client that sends exactly what the test gives it.
pub struct TestPeer {
    pub stream: TcpStream,
}

impl TestPeer {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Receives the next frame of the server: final, unmasked.
    pub async fn receive(&mut self) -> (OpCode, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).await.expect("a frame");
        assert_eq!(head[0] & 0xf0, 0x80, "one final frame without reserved bits");
        let length = match head[1] {
            126 => u64::from(self.stream.read_u16().await.expect("a length")),
            127 => self.stream.read_u64().await.expect("a length"),
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.expect("a payload");
        (OpCode::try_from(head[0] & 0x0f).expect("an opcode"), payload)
    }

    pub async fn receive_text(&mut self) -> String {
        let (opcode, payload) = self.receive().await;
        assert_eq!(opcode, OpCode::Text);
        String::from_utf8(payload).expect("a text")
    }

    /// Receives the close frame, then the end of the stream. Returns code and reason.
    pub async fn receive_close(&mut self) -> (u16, String) {
        let (opcode, payload) = self.receive().await;
        assert_eq!(opcode, OpCode::Close, "{payload:?}");
        self.expect_end().await;
        let reason = String::from_utf8(payload[2..].to_vec()).expect("a text");
        (u16::from_be_bytes([payload[0], payload[1]]), reason)
    }

    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let ended: io::Result<usize> = self.stream.read_to_end(&mut rest).await;
        assert_eq!((ended.expect("an orderly end"), rest), (0, Vec::new()));
    }
}
