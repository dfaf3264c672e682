//! A real Redis of a test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Process, Resp};

pub struct RedisServer {
    process: Process,
    port: u16,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts a server on a free port with more arguments, as `--requirepass x`.
    pub fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend(["--dir".into(), directory.path().display().to_string()]);
        let port = free_port();
        let process = launch(port, &arguments);
        Self { process, port, arguments, directory }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Makes its snapshots fail, by which it refuses writes and `PING`.
    pub fn fail_snapshots(&self) {
        std::fs::remove_dir_all(self.directory.path()).expect("it is there");
        let mut resp = Resp::connect(self.port);
        resp.ask(&["CONFIG", "SET", "save", "3600 1"]);
        resp.ask(&["BGSAVE"]);
        let until = Instant::now() + Duration::from_secs(10);
        while resp.try_ask(&["PING"]).is_ok() {
            assert!(Instant::now() < until, "the snapshot does not fail");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it without a goodbye.
    pub fn kill(&mut self) {
        self.process.finish();
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.process = launch(self.port, &self.arguments);
    }
}

/// A port that nobody listens on. Not one of those that the system gives to connections: such a
/// one could be taken while the server is down, by a node's own attempt to reach it for example.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 10_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tried = PORTS.map(|_| {
        let next = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        (PORTS.start + next % (PORTS.end - PORTS.start)) as u16
    });
    tried.into_iter().find(free).expect("some port is free")
}

fn launch(port: u16, arguments: &[String]) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--port", &port.to_string()]).args(arguments);
    let process = Process::start(&mut command);
    let until = Instant::now() + Duration::from_secs(10);
    while !answers(port) {
        assert!(Instant::now() < until, "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

/// Whether it answers a PING with anything: an error about a password is an answer.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"PING\r\n").is_ok();
    asked && stream.read(&mut [0; 16]).is_ok_and(|bytes| bytes > 0)
}
