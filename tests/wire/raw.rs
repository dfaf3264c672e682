//! A client that says exactly what it is told to, right or wrong.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::harness::PATIENCE;

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

pub const MASKED: u8 = 0x80;
/// Short lengths that announce a longer field instead.
pub const LENGTH_IN_2: u8 = 126;
pub const LENGTH_IN_8: u8 = 127;

const MASK: [u8; 4] = [0x5a, 0x01, 0xf0, 0x33];

/// Receive buffer of a client that does not read, in bytes: the smaller, the sooner it is noticed.
const SMALL_BUFFER: u32 = 4096;

/// A good upgrade.
pub const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\
    connection: upgrade\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked frame with this first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(MASKED | short as u8),
        length => {
            bytes.push(MASKED | LENGTH_IN_2);
            bytes.extend(u16::try_from(length).expect("tests send less").to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    bytes
}

/// A masked text message in one frame.
pub fn text(payload: &str) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_bytes())
}

pub fn hello(token: &str) -> Vec<u8> {
    text(&json!({"op": "hello", "token": token}).to_string())
}

/// A frame that brings a fresh token.
pub fn renew(token: &str) -> Vec<u8> {
    text(&json!({"op": "renew", "token": token}).to_string())
}

/// The answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// `host:port` of where clients connect.
fn address(url: &str) -> &str {
    url.trim_start_matches("ws://").trim_end_matches("/v1/ws")
}

pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub async fn connect(node: &str) -> Self {
        let stream = TcpStream::connect(address(node)).await.expect("the port is open");
        stream.set_nodelay(true).expect("TCP");
        Self { stream }
    }

    /// Connected from an address of this machine.
    pub async fn connect_from(node: &str, source: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("the address is of this machine");
        let address = address(node).parse().expect("an address");
        Self { stream: socket.connect(address).await.expect("the port is open") }
    }

    /// Connected and upgraded.
    pub async fn upgraded(node: &str) -> Self {
        let mut raw = Self::connect(node).await;
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// Connected, upgraded and let in.
    pub async fn greeted(node: &str, token: &str) -> Self {
        let mut raw = Self::upgraded(node).await;
        raw.send(&hello(token)).await;
        raw.receive_op("cursor").await;
        raw
    }

    /// As [`Raw::greeted`], with little room for what is not read.
    pub async fn cramped(node: &str, token: &str) -> Self {
        Self::cramped_with_cursor(node, token).await.0
    }

    /// The same, and its first cursor.
    pub async fn cramped_with_cursor(node: &str, token: &str) -> (Self, String) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SMALL_BUFFER).expect("a size");
        let address = address(node).parse().expect("an address");
        let mut raw = Self { stream: socket.connect(address).await.expect("the port is open") };
        raw.upgrade(UPGRADE).await;
        raw.send(&hello(token)).await;
        let cursor = raw.receive_op("cursor").await;
        (raw, cursor["cursor"].as_str().expect("a cursor").to_owned())
    }

    /// Another handle of the same connection, to write while the first one reads. The kernel keeps
    /// next to nothing of what it writes and the node does not read.
    pub fn writer(&self) -> Self {
        let sizes =
            socket2::SockRef::from(&self.stream).set_send_buffer_size(SMALL_BUFFER as usize);
        sizes.expect("a size");
        let handle = self.stream.as_fd().try_clone_to_owned().expect("a handle");
        let stream = TcpStream::from_std(handle.into()).expect("a connection of the event loop");
        Self { stream }
    }

    async fn upgrade(&mut self, request: &str) {
        let answer = self.http(request).await;
        assert_eq!(answer.status, 101, "{answer:?}");
    }

    /// Sends a request and reads the answer.
    pub async fn http(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        self.answer().await
    }

    /// The answer, if it begins within so long.
    pub async fn answer_within(&mut self, wait: Duration) -> Option<Answer> {
        timeout(wait, self.stream.readable()).await.ok()?.expect("the connection is open");
        Some(self.answer().await)
    }

    pub async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read(1).await);
        }
        let head = String::from_utf8(head).expect("a text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer =
            Answer { status: status.expect("a status line"), head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |bytes| bytes.parse().expect("it"));
        answer.body = String::from_utf8(self.read(length).await).expect("a text");
        answer
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the node reads");
    }

    /// Sends what the node may refuse to read.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await;
        read.expect("something comes in time").expect("the connection is open");
        bytes
    }

    /// The next frame: its opcode and payload. The node sends neither fragments nor masks.
    pub async fn receive(&mut self) -> (u8, Vec<u8>) {
        let head = self.read(2).await;
        assert_eq!(head[0] & 0xf0, FIN, "one final frame without reserved bits");
        let extended = match head[1] {
            LENGTH_IN_2 => 2,
            LENGTH_IN_8 => 8,
            _ => 0,
        };
        let long = self.read(extended).await.iter().fold(0, |sum, &b| sum << 8 | usize::from(b));
        let length = if extended == 0 { usize::from(head[1]) } else { long };
        (head[0] & 0x0f, self.read(length).await)
    }

    /// The next text message.
    pub async fn receive_json(&mut self) -> Value {
        loop {
            let (opcode, payload) = self.receive().await;
            match opcode {
                PING | PONG => {}
                TEXT => return serde_json::from_slice(&payload).expect("JSON"),
                _ => panic!("opcode {opcode:#x} with {payload:?}"),
            }
        }
    }

    /// The next text message with this `op`; others are passed over.
    pub async fn receive_op(&mut self, op: &str) -> Value {
        loop {
            let frame = self.receive_json().await;
            if frame["op"] == op {
                return frame;
            }
        }
    }

    /// The close frame, which must be the next but for pings: its code and reason. It is
    /// answered, and nothing follows it.
    pub async fn receive_close(&mut self) -> (u16, String) {
        let payload = loop {
            let (opcode, payload) = self.receive().await;
            match opcode {
                PING | PONG => {}
                CLOSE => break payload,
                _ => panic!("opcode {opcode:#x}: {}", String::from_utf8_lossy(&payload)),
            }
        };
        // The node does not wait for it after a breach.
        let _answered = self.try_send(&frame(FIN | CLOSE, &payload)).await;
        assert_eq!(self.drain().await, b"", "nothing follows a close frame");
        split_close(&payload)
    }

    /// All that comes until the stream ends.
    pub async fn drain(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let end = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        match end.expect("the node ends the connection in time") {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        bytes
    }
}

/// The text messages among frames of a node, up to one that is not whole.
pub fn texts(mut stream: &[u8]) -> Vec<Value> {
    let mut texts = Vec::new();
    while let [first, length, rest @ ..] = stream {
        let extended = match *length {
            LENGTH_IN_2 => 2,
            LENGTH_IN_8 => 8,
            _ => 0,
        };
        let Some((long, rest)) = rest.split_at_checked(extended) else { break };
        let long = long.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let length = if extended == 0 { usize::from(*length) } else { long };
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        if *first == FIN | TEXT {
            texts.push(serde_json::from_slice(payload).expect("JSON"));
        }
        stream = rest;
    }
    texts
}

fn split_close(payload: &[u8]) -> (u16, String) {
    match payload {
        [high, low, reason @ ..] => {
            let reason = String::from_utf8(reason.to_vec()).expect("a text");
            (u16::from_be_bytes([*high, *low]), reason)
        }
        rest => {
            assert!(rest.is_empty(), "a close frame of one byte");
            (1005, String::new())
        }
    }
}
