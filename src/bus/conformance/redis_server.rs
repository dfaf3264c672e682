//! A real Redis of a test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::PATIENCE;

pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        Self { child: launch(port, &directory), port, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it without a goodbye.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.child = launch(self.port, &self.directory);
    }

    /// Sends it a signal by its name: `STOP` freezes it, `CONT` lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(status.expect("kill is there").success(), "the server is there");
    }

    /// The answer to an inline command, of one line or a bulk.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A free port outside the range from which the system numbers outgoing connections. Inside that
/// range a connection may take the port before the server does.
fn free_port() -> u16 {
    const FIRST: u32 = 30_000;
    const PORTS: u32 = 2_700;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = |_| FIRST + (std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
    let mut tried = (0..PORTS).map(next).map(|port| port as u16);
    tried.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("some port is free")
}

fn launch(port: u16, directory: &tempfile::TempDir) -> Child {
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &port.to_string(), "--dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "redis-server does not answer");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child
}
