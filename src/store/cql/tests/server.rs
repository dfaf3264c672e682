//! The server that the tests use, and servers of their own for those that break one.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The variable with the address of the shared server, `host:port`.
const ADDRESS: &str = "NARROWCAST_TEST_CQL";

/// The variable with the directory of a server's jars, in `lib`.
const HOME: &str = "NARROWCAST_TEST_CQL_HOME";

/// What starts one.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cql/server");

/// A server answers within 10 s beside a build.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Between two looks at whether it does.
const POLL: Duration = Duration::from_millis(100);

/// The line of a server's log when it answers.
const READY: &str = "Startup complete";

/// Where the tests' server is.
pub(super) fn address() -> String {
    variable(ADDRESS)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} does not say where a CQL server is: `scripts/test` starts one and sets it")
    })
}

/// A server of a test's own. It ends with this.
pub(super) struct CqlTestServer {
    child: Child,
    data: TempDir,
    /// What its configuration has more.
    lines: String,
    port: u16,
    storage_port: u16,
}

impl CqlTestServer {
    /// Starts a server with empty data.
    pub(super) async fn start() -> Self {
        Self::configured(TempDir::new().unwrap(), "").await
    }

    /// Starts one in a directory, its configuration with these lines added.
    pub(super) async fn configured(data: TempDir, lines: &str) -> Self {
        let (port, storage_port) = (free_port(), free_port());
        let child = spawn(data.path(), lines, port, storage_port);
        let mut server = Self { child, data, lines: lines.to_owned(), port, storage_port };
        server.ready().await;
        server
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &process]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data.
    pub(super) async fn restart(&mut self) {
        self.child = spawn(self.data.path(), &self.lines, self.port, self.storage_port);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let until = Instant::now() + START_TIMEOUT;
        while !self.log().contains(READY) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{ended:?}: {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its log so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for CqlTestServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The script becomes the server: its number is the server's.
fn spawn(data: &Path, lines: &str, port: u16, storage_port: u16) -> Child {
    let log = std::fs::File::create(data.join("log")).unwrap();
    Command::new(SCRIPT)
        .args(["run", "1"])
        .env("CQL_HOME", variable(HOME))
        .env("CQL_RUN", data)
        .env("CQL_YAML", lines)
        .env("CQL_PORT", port.to_string())
        .env("CQL_STORAGE_PORT", storage_port.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A port without a listener, and outside the range that the system gives to connections. While a
/// server is down the driver's own attempt to reach it could take such a port.
fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 10_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tried = PORTS.map(|_| {
        let next = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        (PORTS.start + next % (PORTS.end - PORTS.start)) as u16
    });
    tried.into_iter().find(free).unwrap()
}
