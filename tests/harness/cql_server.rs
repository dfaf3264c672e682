//! A real CQL server of a test's own, as one node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Process, free_port};

/// How long a start may take: ten times what it does beside a build.
const START: Duration = Duration::from_secs(90);

/// How long a server that is there may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

pub struct CqlServer {
    process: Process,
    port: u16,
    storage_port: u16,
    directory: tempfile::TempDir,
}

impl CqlServer {
    /// Starts a server on free ports, with its data in a directory that goes with it.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (port, storage_port) = (free_port(), free_port());
        let process = launch(port, storage_port, &directory);
        Self { process, port, storage_port, directory }
    }

    /// Where clients connect, as configurations name it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Freezes it: its connections stay, and nothing is answered.
    pub fn stop(&self) {
        self.process.signal("STOP");
    }

    /// Goes on where it was frozen.
    pub fn cont(&self) {
        self.process.signal("CONT");
    }

    /// Kills it without a goodbye.
    pub fn kill(&mut self) {
        self.process.finish();
    }

    /// Starts it again, with its data, on the same ports.
    pub fn restart(&mut self) {
        self.process = launch(self.port, self.storage_port, &self.directory);
    }

    /// Whether it answers in time.
    pub fn answers(&self) -> bool {
        answers(self.port).unwrap_or(false)
    }
}

fn launch(port: u16, storage_port: u16, directory: &tempfile::TempDir) -> Process {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var_os("NARROWCAST_TEST_CQL_HOME");
    let home = home.map_or_else(|| root.join("target/cql"), PathBuf::from);
    // The script becomes the server: its number is the server's.
    let mut command = Command::new(root.join("scripts/cql/server"));
    command.args(["run", "1"]).env("CQL_HOME", home).env("CQL_RUN", directory.path());
    command.env("CQL_PORT", port.to_string()).env("CQL_STORAGE_PORT", storage_port.to_string());
    let mut process = Process::start(&mut command);
    let until = Instant::now() + START;
    while !answers(port).unwrap_or(false) {
        let starts = process.is_running() && Instant::now() < until;
        assert!(starts, "the CQL server does not answer; its errors: {}", process.finish());
        std::thread::sleep(Duration::from_millis(50));
    }
    process
}

/// Whether OPTIONS (opcode 5) is answered with SUPPORTED (opcode 6).
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0])?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    Ok(head[4] == 6)
}

#[test]
#[ignore = "needs a CQL server"]
fn it_freezes_dies_and_comes_back() {
    let mut server = CqlServer::start();
    assert!(server.answers());
    server.stop();
    assert!(!server.answers(), "it is frozen");
    server.cont();
    assert!(server.answers());
    server.kill();
    assert!(TcpStream::connect(server.address()).is_err(), "nobody is there");
    server.restart();
    assert!(server.answers());
}
