//! The server that the tests use, and servers of their own for those that break one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The variable that says where the shared server is, `host:port`.
const ADDRESS: &str = "NARROWCAST_TEST_CQL";

/// The variable that says where the jars of a server are, in `lib`.
const HOME: &str = "NARROWCAST_TEST_CQL_HOME";

/// What `scripts/cql/server` starts one with.
const CONF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cql");

/// A server answers within 10 s beside a build.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Between two looks at whether it does.
const POLL: Duration = Duration::from_millis(100);

/// What a server's log says when it answers.
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
pub(super) struct Server {
    child: Child,
    data: TempDir,
    home: PathBuf,
    port: u16,
    storage_port: u16,
}

impl Server {
    /// Starts a server with empty data.
    pub(super) async fn start() -> Self {
        Self::configured(TempDir::new().unwrap(), "").await
    }

    /// Starts one in a directory, its configuration with these lines added.
    pub(super) async fn configured(data: TempDir, lines: &str) -> Self {
        let home = PathBuf::from(variable(HOME));
        let conf = data.path().join("conf");
        std::fs::create_dir(&conf).unwrap();
        std::fs::copy(format!("{CONF}/logback.xml"), conf.join("logback.xml")).unwrap();
        let yaml = std::fs::read_to_string(format!("{CONF}/cassandra.yaml")).unwrap();
        std::fs::write(conf.join("cassandra.yaml"), yaml + "\n" + lines).unwrap();
        let (port, storage_port) = (free_port(), free_port());
        let child = spawn(&home, data.path(), port, storage_port);
        let mut server = Self { child, data, home, port, storage_port };
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
        self.child = spawn(&self.home, self.data.path(), self.port, self.storage_port);
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

    /// What it has said.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(home: &Path, data: &Path, port: u16, storage_port: u16) -> Child {
    let log = std::fs::File::create(data.join("log")).unwrap();
    let setting = |key: &str, value: &str| format!("-Dcassandra.settings.{key}={value}");
    Command::new("java")
        .arg(format!("@{CONF}/jvm.args"))
        .args(["-cp", &format!("{}:{}/lib/*", data.join("conf").display(), home.display())])
        .arg(format!("-Dcassandra.storagedir={}", data.display()))
        .arg("-Dcassandra.superuser_setup_delay_ms=0")
        .arg(setting("listen_address", "127.0.0.1"))
        .arg(setting("rpc_address", "127.0.0.1"))
        .arg(setting("native_transport_port", &port.to_string()))
        .arg(setting("storage_port", &storage_port.to_string()))
        .arg(setting("initial_token", "-9223372036854775807"))
        .arg("org.apache.cassandra.service.CassandraDaemon")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
