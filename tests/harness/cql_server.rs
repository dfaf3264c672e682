//! A real CQL server of a test's own, as one node or as one of a ring.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Process, free_port};

/// How long a start may take: many times what it does beside a build.
const START: Duration = Duration::from_mins(4);

/// How long a server that is there may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

pub struct CqlServer {
    process: Process,
    place: Place,
}

/// Where a server is, again and again.
struct Place {
    /// Which node of how many: node N listens on 127.0.0.N.
    node: (u8, u8),
    port: u16,
    storage_port: u16,
    directory: tempfile::TempDir,
}

impl CqlServer {
    /// Starts a server on free ports, with its data in a directory that goes with it.
    pub fn start() -> Self {
        Self::ring(1).pop().expect("one")
    }

    /// Starts so many that are one store.
    pub fn ring(nodes: u8) -> Vec<Self> {
        let (port, storage_port) = (free_port(), free_port());
        let start = |number| {
            let directory = tempfile::tempdir().expect("a directory");
            let place = Place { node: (number, nodes), port, storage_port, directory };
            Self { process: place.launch(), place }
        };
        let mut ring: Vec<Self> = (1..=nodes).map(start).collect();
        ring.iter_mut().for_each(Self::ready);
        ring
    }

    /// Where clients connect, as configurations name it.
    pub fn address(&self) -> String {
        let (host, port) = self.place.address();
        format!("{host}:{port}")
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
        self.process = self.place.launch();
        self.ready();
    }

    fn ready(&mut self) {
        let until = Instant::now() + START;
        while !self.answers() {
            let starts = self.process.is_running() && Instant::now() < until;
            assert!(starts, "the CQL server does not answer: {}", self.process.finish());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it answers in time.
    pub fn answers(&self) -> bool {
        answers(self.place.address()).unwrap_or(false)
    }
}

impl Place {
    const fn address(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::new(127, 0, 0, self.node.0), self.port)
    }

    /// The script becomes the server: its number is the server's.
    fn launch(&self) -> Process {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let home = std::env::var_os("NARROWCAST_TEST_CQL_HOME");
        let home = home.map_or_else(|| root.join("target/cql"), PathBuf::from);
        let mut command = Command::new(root.join("scripts/cql/server"));
        command.args(["run", &self.node.0.to_string(), &self.node.1.to_string()]);
        command.env("CQL_HOME", home).env("CQL_RUN", self.directory.path());
        command.env("CQL_PORT", self.port.to_string());
        command.env("CQL_STORAGE_PORT", self.storage_port.to_string());
        Process::start(&mut command)
    }
}

/// Whether OPTIONS (opcode 5) is answered with SUPPORTED (opcode 6).
fn answers(address: (Ipv4Addr, u16)) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
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
